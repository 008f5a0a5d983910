"""Every error of the tree over HTTP: its status, its code, the one JSON shape, and a message that says what to do."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from anytime.service.openapi_errors import codes
from tests.bundles import quantised, sequence
from tests.bundles.arithmetic import integers
from tests.service import spinner
from tests.service.live import Live, assert_refused, expect, live

ROW = spinner.row()
PIXELS = quantised.inputs(1)["pixels"]
IDS = {name: values.tolist() for name, values in sequence.inputs(1).items()}
PREDICT = "/v1/models/spinner/predict"
JSON = {"Content-Type": "application/json"}
RAW = {"Content-Type": "application/octet-stream"}


def png(size: tuple[int, int] = (6, 6)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size).save(file, format="PNG")
    return file.getvalue()


def noise() -> bytes:
    """A picture that does not compress, so that half of the file is half of the pixels."""
    file = io.BytesIO()
    Image.fromarray(integers(1, (60, 60), 0, 255).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def encoded(**changes: Any) -> dict[str, Any]:
    whole = {"dtype": "float32", "shape": [1, 4], "data": base64.b64encode(np.float32(ROW).tobytes()).decode()}
    return {"inputs": {**whole, **changes}}


@dataclass(frozen=True)
class Case:
    """A request and its refusal. ``says``: parts of the message; ``details``: further fields of the error."""

    name: str
    status: int
    code: str
    says: str | tuple[str, ...] = ()
    path: str = PREDICT
    method: str = "POST"
    body: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def bad(name: str, says: str | tuple[str, ...], body: Any, **more: Any) -> Case:
    """A tensor that does not fit."""
    return Case(name, 422, "invalid_tensor", says, body=body, details={"input": "x"}, **more)


def policy(name: str, code: str, field: str, says: str | tuple[str, ...], given: dict[str, Any], **more: Any) -> Case:
    return Case(name, 422, f"policy_{code}", says, body={"inputs": [ROW], "policy": given}, details={"field": field},
                **more)  # fmt: skip


def unknown(name: str, field: str, says: str, **more: Any) -> Case:
    """A field that nobody knows, or a bad value of one."""
    return Case(name, 422, "invalid_field", says, details={"field": field}, **more)


AT_QUANTISED = {"path": "/v1/models/quantised/predict"}
CASES = [
    Case("no such path", 404, "not_found", "/v1/nothing", "/v1/nothing", "GET"),
    Case("a path beyond", 404, "not_found", (), PREDICT + "/again"),
    Case("no such file", 404, "not_found", (), "/docs/none.js", "GET"),
    Case("no such method", 405, "method_not_allowed", "GET", PREDICT, "GET"),
    Case("no method at all", 400, "malformed_request", "HTTP", "/v1/models", "BREW"),
    Case("unknown model", 404, "model_not_found", ("spiner", "'spinner'"), "/v1/models/spiner/predict", body={}),
    Case("unknown model shown", 404, "model_not_found", "'spinner'", "/v1/models/spiner", "GET"),
    Case("unknown version", 404, "version_not_found", ("7", "1"), "/v1/models/spinner/versions/7/predict", body={}),
    Case("unknown alias", 404, "version_not_found", "stable", "/v1/models/spinner/versions/stable/predict", body={}),
    Case("a number beyond", 404, "version_not_found", (), f"/v1/models/spinner/versions/{'9' * 400}/predict", body={}),
    Case("refused bundle", 503, "bundle_refused", ("wrong_hash", "/readyz"), "/v1/models/broken/predict", body={}),
    Case("refused bundle shown", 503, "bundle_refused", "wrong_hash", "/v1/models/broken", "GET"),
    Case("query that is no text", 400, "malformed_request", "query", f"{PREDICT}?confidence=%ff", body={}),
    Case("query without end", 400, "malformed_request", "query", f"{PREDICT}?{'a=1&' * 200}", body={}),
    Case("no JSON", 400, "malformed_body", "JSON", content=b'{"inputs": [', headers=JSON),
    Case("nothing", 400, "malformed_body", "JSON", content=b"", headers=JSON),
    Case("NaN in JSON", 422, "invalid_tensor", "NaN", content=b'{"inputs": [[NaN, 0, 0, 0]]}', headers=JSON),
    Case("JSON without end", 400, "malformed_body", (), content=b"[" * 60_000, headers=JSON),
    Case("multipart without boundary", 400, "malformed_body", "boundary", content=b"--x",
         headers={"Content-Type": "multipart/form-data"}),
    Case("multipart cut off", 400, "malformed_body", (), content=b'--x\r\nContent-Disposition: form-data; name="x"\r\n',
         headers={"Content-Type": "multipart/form-data; boundary=x"}),
    Case("compressed", 415, "unsupported_media_type", "gzip", content=b"..", headers={"Content-Encoding": "gzip"}),
    Case("CSV", 415, "unsupported_media_type", ("text/csv", "application/json"), content=b"1,2",
         headers={"Content-Type": "text/csv"}),
    Case("a picture for a model of numbers", 415, "unsupported_media_type", "image/png", content=png()),
    Case("raw bytes of two inputs", 415, "unsupported_media_type", "sequence", "/v1/models/sequence/predict",
         content=b"12345678", headers=RAW),
    unknown("no object", "inputs", "no object", body=[1, 2]),
    unknown("no inputs", "inputs", "missing", body={}),
    unknown("unknown body field", "polcy", "'policy'", body={"inputs": [ROW], "polcy": {}}),
    unknown("a policy field beside policy", "confidence", "under 'policy'", body={"inputs": [ROW], "confidence": 0.9}),
    unknown("unknown query field", "confidense", "'confidence'", path=f"{PREDICT}?confidense=0.9", body={}),
    unknown("twice in the query", "top", "twice", path=f"{PREDICT}?top=1&top=2", body={"inputs": [ROW]}),
    unknown("in query and body", "confidence", "in the query and in the body", path=f"{PREDICT}?confidence=0.9",
            body={"inputs": [ROW], "policy": {"confidence": 0.8}}),
    unknown("null in query and a value in the body", "confidence", "in the query and in the body",
            path=f"{PREDICT}?confidence=null", body={"inputs": [ROW], "policy": {"confidence": 0.8}}),
    unknown("top is a word", "top", "whole number", path=f"{PREDICT}?top=all", body={"inputs": [ROW]}),
    unknown("stream is a number", "stream", "true or false", body={"inputs": [ROW], "stream": 1}),
    unknown("policy is a list", "policy", "object", body={"inputs": [ROW], "policy": []}),
    bad("rank", "(batch, 4)", {"inputs": [1, 2, 3, 4]}),
    bad("shape", "(1, 3)", {"inputs": [[1, 2, 3]]}),
    bad("ragged", "ragged", {"inputs": [[1, 2, 3, 4], [1]]}),
    bad("no rows", "at least 1", {"inputs": []}),
    bad("a string", "string", {"inputs": [["1", 2, 3, 4]]}),
    bad("null", "null", {"inputs": [[None, 2, 3, 4]]}),
    bad("beyond float32", "finite", {"inputs": [[1e39, 2, 3, 4]]}),
    bad("base64: dtype", "'float32'", encoded(dtype="float64")),
    bad("base64: shape", "bytes", encoded(shape=[2, 4])),
    bad("base64: no shape", "integers", encoded(shape="1,4")),
    bad("base64: no base64", "base64", encoded(data="?")),
    bad("base64: unknown key", "'shape'", encoded(shap=[1, 4])),
    bad("raw: not whole rows", "multiple of 16", None, content=b"12345", headers=RAW),
    bad("raw: NaN", "finite", None, content=np.float32([np.nan, 0, 0, 0]).tobytes(), headers=RAW),
    bad("raw: infinity", "finite", None, content=np.float32([0, np.inf, 0, 0]).tobytes(), headers=RAW),
    Case("unknown input", 422, "invalid_tensor", "known: x", body={"inputs": {"y": [ROW]}}, details={"input": "y"}),
    Case("missing input", 422, "invalid_tensor", "missing", "/v1/models/sequence/predict",
         body={"inputs": {"ids": IDS["ids"]}}, details={"input": "mask"}),
    Case("truncated picture", 422, "invalid_image", (), content=noise()[:2000], details={"input": "pixels"}, **AT_QUANTISED),
    Case("bomb", 422, "invalid_image", "pixels", content=png((9000, 9000)), details={"input": "pixels"}, **AT_QUANTISED),
    Case("no picture", 422, "invalid_image", (), content=b"not a picture", headers={"Content-Type": "image/png"},
         details={"input": "pixels"}, **AT_QUANTISED),
    policy("unknown policy field", "unknown_field", "confidense", ("'confidense'", "'confidence'"), {"confidense": 0.9}),
    policy("out of range", "out_of_range", "confidence", "less than or equal to 1", {"confidence": 1.5}),
    policy("in the query", "out_of_range", "entropy", (), {}, path=f"{PREDICT}?entropy=-1"),
    policy("not one per exit", "out_of_range", "confidence", "4 exits", {"confidence": [0.5, None]}),
    policy("no such exit", "out_of_range", "max_exit", "4 exits", {"max_exit": 5}),
    policy("patience 0", "out_of_range", "patience", "greater than or equal to 1", {"patience": 0}),
    policy("deadline 0", "out_of_range", "deadline_ms", "greater than 0", {"deadline_ms": 0}),
    policy("deadline below 0", "out_of_range", "deadline_ms", "greater than 0", {"deadline_ms": -3}),
    policy("min beyond max", "conflict", "min_exit", "max_exit", {"min_exit": 3, "max_exit": 2}),
    policy("exact and a rule", "conflict", "confidence", "exact", {"exact": True, "confidence": 0.5}),
    policy("no stop head", "unsupported", "learned", "stop head", {"learned": 0.5}),
    policy("no such target", "unsupported", "target", "none", {"target": "cost-50"}),
    policy("no levels", "unsupported", "level", "levels", {"level": "coarse"}),
    policy("stable", "unsupported", "stable", "classification", {"stable": 0.1}),
    policy("budget", "budget_too_small", "max_macs", (), {"max_macs": 1}),
    Case("rows", 422, "batch_too_large", ("65", "64"), body={"inputs": [ROW] * 65},
         details={"rows": 65, "max_rows": 64}),
    Case("a head that writes infinity", 500, "model_failed", "exit 4", body={"inputs": [spinner.row(yes=3e38)]}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(case: Case, web: Live) -> None:
    """Status, code, shape and message are those of the table, and the next request is served."""
    content = json.dumps(case.body).encode() if case.body is not None else case.content
    headers = {**(JSON if case.body is not None else {}), **case.headers}
    with httpx.Client(base_url=web.url, timeout=60) as client:
        error = assert_refused(
            client.request(case.method, case.path, content=content, headers=headers), case.status, case.code
        )
        for part in (case.says,) if isinstance(case.says, str) else case.says:
            assert part in error["message"]
        assert {name: error.get(name) for name in case.details} == case.details
        assert client.post(PREDICT, json={"inputs": [ROW]}).status_code == 200


def test_a_refused_method_names_the_others(web: Live) -> None:
    """405 comes with ``Allow``, as RFC 9110 wants it."""
    assert web.get(PREDICT).headers["allow"] == "POST"
    assert set(httpx.delete(f"{web.url}/healthz").headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_broken_bundle_is_listed_while_others_serve(web: Live) -> None:
    """``/readyz`` is 200 as long as one model serves; the broken one is there with its reason and without a path."""
    reply = web.get("/readyz")
    assert reply.status_code == 200
    body = reply.json()
    assert body["models"] == {"quantised": 1, "sequence": 1, "spinner": 1, "ztw": 1}
    (refused,) = body["refused"]
    assert (refused["model"], refused["version"], refused["code"]) == ("broken", 1, "wrong_hash")
    assert str(web.service.shelf) not in refused["message"]
    assert "/tmp" not in refused["message"]  # noqa: S108  # a path of the server's must not show


@pytest.fixture(scope="module")
def tight(mixed_store) -> Any:
    """One worker, and little room."""
    with live(mixed_store, queue_rows=3, batch_rows=2, body_bytes=4096, image_pixels=100) as service:
        yield service


def busy(service: Live, rows: int = 1, turns: int = 4 * spinner.LONG, **policy: Any) -> Any:
    """A client whose rows the worker is busy with."""
    wire = service.connect()
    body = json.dumps({"inputs": [spinner.row(turns)] * rows, "policy": policy}).encode()
    before = service.metric("anytime_queue_seconds_count")
    wire.ask("POST", PREDICT, body)
    expect(lambda: service.metric("anytime_queue_seconds_count") > before)
    return wire


def test_a_full_queue_refuses(tight: Live) -> None:
    """Rows beyond the bound are 429 at once, with when to come again; the shed rows are counted."""
    with busy(tight, 2):
        reply = tight.post("spinner", {"inputs": [ROW, ROW]})
        error = assert_refused(reply, 429, "queue_full")
        assert "retry-after" in reply.headers
        assert "3" in error["message"]
        assert tight.metric("anytime_shed_total", model="spinner", code="queue_full") == 2
    expect(lambda: tight.service.engine.rows == 0)


def test_a_batch_that_never_fits_is_no_overload(mixed_store) -> None:
    """More rows than the queue ever holds are 422, whatever ``batch_rows`` says: to come again would not help."""
    with live(mixed_store, queue_rows=2, batch_rows=50) as service:
        error = assert_refused(service.post("spinner", {"inputs": [ROW] * 3}), 422, "batch_too_large")
        assert error["max_rows"] == 2


def test_full_state_refuses(mixed_store) -> None:
    """Rows whose state does not fit beside what is under way are 429."""
    with live(mixed_store, state_bytes=5000, queue_rows=1000, batch_rows=60) as service, busy(service, 25):
        assert_refused(service.post("spinner", {"inputs": [ROW] * 25}), 429, "state_full")


def test_pixels_are_bounded_before_decoding(tight: Live) -> None:
    """A picture with more pixels than allowed is refused by its header."""
    error = assert_refused(tight.post("quantised", content=png((11, 10))), 422, "invalid_image")
    assert error["reason"]


def test_deadlines_that_cannot_be_met(mixed_store) -> None:
    """Below exit 1's usual time: 504 at once, also for ``exact``; missed for load alone: 429 with when to come again."""
    with live(mixed_store) as service:
        slow = {"inputs": [spinner.row(spinner.LONG)]}
        for _ in range(4):  # so that the service knows how long it takes
            assert service.post("spinner", slow).status_code == 200
        graphs = service.graphs
        for policy, code in (({}, "deadline_before_first_exit"), ({"exact": True}, "deadline_before_full_depth")):
            reply = service.post("spinner", {**slow, "policy": {"deadline_ms": 2.0, **policy}})
            assert_refused(reply, 504, code)
        assert service.graphs == graphs
        with busy(service, 10, spinner.LONG, priority=1):
            usual_ms = service.get("/v1/models/spinner").json()["exits"][0]["ms"]
            reply = service.post("spinner", {**slow, "policy": {"deadline_ms": 3 * usual_ms}})
            assert_refused(reply, 429, "deadline_unreachable")


def test_a_deadline_that_passes_after_admission(mixed_store) -> None:
    """504 from the deadline's own timer, while exit 1 still runs; of several rows the one with an exit is answered."""
    with live(mixed_store) as service:
        body = {"inputs": [spinner.row(4 * spinner.LONG)], "policy": {"deadline_ms": 100.0}}
        assert_refused(service.post("spinner", body), 504, "deadline_before_first_exit")
        assert service.metric("anytime_deadline_misses_total") == 1
    with live(mixed_store) as service:
        rows = [spinner.row(), spinner.row(4 * spinner.LONG)]
        reply = service.post("spinner", {"inputs": rows, "policy": {"deadline_ms": 400.0}})
        assert reply.status_code == 200
        first, second = reply.json()["rows"]
        assert first["exit"] >= 1
        assert second == {
            "row": 1,
            "error": {"code": "deadline_before_first_exit", "message": second["error"]["message"]},
        }


ELSEWHERE = {
    "unauthorized", "body_too_large", "body_timeout", "head_too_large", "internal", "loading", "shutting_down",
}  # fmt: skip
"""In the tests of ``envelope``, ``http_protocol``, ``catalogue`` and ``server``."""
HERE = {"queue_full", "state_full", "deadline_unreachable", "deadline_before_first_exit", "deadline_before_full_depth"}


def test_every_code_is_tried() -> None:
    """No error of the tree is without a test over HTTP."""
    assert {case.code for case in CASES} | HERE | ELSEWHERE == set(codes())
