"""Prediction over real sockets: every content type, every place a policy may come from, and what a reply holds."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from anytime.model_store import Store
from tests.bundles import quantised, sequence
from tests.service import spinner
from tests.service.live import Live, assert_refused, live

ROWS = [spinner.row(), spinner.row(yes=0.25, no=1.25), spinner.row(yes=4.0)]
PIXELS = quantised.inputs(3)["pixels"]
IDS = sequence.inputs(3, length=5)
RAW = {"Content-Type": "application/octet-stream"}
TIMES = ("compute_ms",)


def rows(reply: httpx.Response) -> list[dict[str, Any]]:
    """The rows of a reply, less what differs from run to run."""
    assert reply.status_code == 200, reply.text
    return [{name: value for name, value in row.items() if name not in TIMES} for row in reply.json()["rows"]]


def encoded(values: np.ndarray) -> dict[str, Any]:
    return {"dtype": str(values.dtype), "shape": values.shape, "data": base64.b64encode(values.tobytes()).decode()}


def picture(values: np.ndarray, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, format=form, **options)
    return file.getvalue()


def test_a_reply(web: Live) -> None:
    """Its fields and a row's are the design's, rows in the order of the input, with the numbers of the network."""
    reply = web.post("spinner", {"inputs": {"x": ROWS}})
    assert reply.status_code == 200
    body = reply.json()
    assert list(body) == ["id", "model", "version", "rows", "elapsed_ms", "queue_ms"]
    assert (body["model"], body["version"]) == ("spinner", 1)
    assert len(body["id"]) >= 16
    assert 0 <= body["queue_ms"] <= body["elapsed_ms"]
    said = [list(row) for row in body["rows"]]
    assert said == [
        ["label", "index", "confidence", "exit", "depth", "exits", "cost", "compute_ms", "stop_reason"]
    ] * len(ROWS)
    assert [row["label"] for row in body["rows"]] == ["yes", "no", "yes"]
    for row, (_, _, yes, no) in zip(body["rows"], ROWS, strict=True):
        assert row["confidence"] == pytest.approx(1 / (1 + np.exp(-2 * abs(yes - no))), abs=1e-9)
        assert (row["exit"], row["depth"], row["exits"], row["cost"]) == (4, 4, 4, 1.0)
        assert row["stop_reason"] == "full_depth"


def test_ids_are_never_the_same(web: Live) -> None:
    """The id is the server's and not the request's."""
    replies = [web.post("spinner", {"inputs": ROWS}, headers={"X-Request-ID": "mine"}) for _ in range(3)]
    assert len({reply.json()["id"] for reply in replies}) == 3
    assert {reply.headers["x-request-id"] for reply in replies} == {"mine"}


def test_tensors_in_every_form_of_one_input(web: Live) -> None:
    """Named or not, nested, in base64, as raw bytes or as a part of a form: the same rows."""
    values = np.float32(ROWS)
    known = rows(web.post("spinner", {"inputs": {"x": ROWS}}))
    assert len(known) == 3
    for body in ({"inputs": ROWS}, {"inputs": {"x": encoded(values)}}, {"inputs": encoded(values)}):
        assert rows(web.post("spinner", body)) == known
    raw = values.tobytes()
    assert rows(web.post("spinner", content=raw, headers=RAW)) == known
    assert rows(web.post("spinner", content=raw)) == known  # no content type at all
    assert rows(web.post("spinner", content=raw, headers=RAW, params={"shape": "3,4"})) == known
    for part in (("x.bin", raw), (None, json.dumps(ROWS), "application/json"), ("x", raw, RAW["Content-Type"])):
        assert rows(web.post("spinner", files={"x": part})) == known


def test_several_inputs(web: Live) -> None:
    """Two named inputs with an open axis, nested, in base64 and as parts that say their shape."""
    known = rows(web.post("sequence", {"inputs": {name: values.tolist() for name, values in IDS.items()}}))
    assert len(known) == 3
    assert rows(web.post("sequence", {"inputs": {name: encoded(values) for name, values in IDS.items()}})) == known
    parts = {name: (name, values.tobytes(), f'{RAW["Content-Type"]}; shape="3,5"') for name, values in IDS.items()}
    assert rows(web.post("sequence", files=parts)) == known


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_pictures(form: str, web: Live) -> None:
    """A picture is the pixels that it decodes to, declared or found by its first bytes, whole or as a part."""
    content = picture(PIXELS[0, 0], form, **({"lossless": True} if form == "WEBP" else {}))
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"))[np.newaxis, np.newaxis]
    known = rows(web.post("quantised", {"inputs": pixels.tolist()}))
    kind = f"image/{form.lower()}"
    assert rows(web.post("quantised", content=content, headers={"Content-Type": kind})) == known
    assert rows(web.post("quantised", content=content)) == known
    # what curl's --data-binary claims
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert rows(web.post("quantised", content=content, headers=form_type)) == known
    assert rows(web.post("quantised", files={"pixels": ("p", content, kind)})) == known


def test_a_large_body_is_read_elsewhere(web: Live) -> None:
    """Beyond what the event loop reads itself, the answer is the same."""
    body = {"inputs": ROWS * 20}
    padded = json.dumps(body).encode() + b" " * 100_000
    known = rows(web.post("spinner", body))
    assert rows(web.post("spinner", content=padded, headers={"Content-Type": "application/json"})) == known


def test_a_body_of_endless_lists_is_refused(web: Live) -> None:
    """More lists than any request needs are refused, and nobody else notices."""
    content = b'{"inputs":[%b[]]}' % (b"[]," * 1_000_000)
    error = assert_refused(web.post("spinner", content=content), 422, "batch_too_large")
    assert error["lists"] == 1_000_003
    assert web.post("spinner", {"inputs": ROWS}).status_code == 200


def test_the_threads_that_read_end_with_the_service(mixed_store: Path) -> None:
    """There are as many as workers at most, and none once it has stopped."""
    before = set(threading.enumerate())
    with live(mixed_store, workers=2) as service:
        for _ in range(5):
            content = json.dumps({"inputs": ROWS}).encode() + b" " * 100_000
            assert service.post("spinner", content=content).status_code == 200
        readers = [thread for thread in threading.enumerate() if thread.name.startswith("reader")]
        assert 1 <= len(set(readers) - before) <= 2
    assert not any(thread.is_alive() for thread in set(readers) - before)


def test_top_lists_labels(web: Live) -> None:
    """``top`` lists the most probable labels, at most all of them; the first is the answer; 0 lists none."""
    body = {"inputs": PIXELS.tolist()}
    for ask in (web.post("quantised", {**body, "top": 3}), web.post("quantised", body, params={"top": 3})):
        for row in rows(ask):
            assert [list(entry) for entry in row["top"]] == [["label", "index", "probability"]] * 3
            shares = [entry["probability"] for entry in row["top"]]
            assert shares == sorted(shares, reverse=True)
            assert (row["top"][0]["label"], shares[0]) == (row["label"], row["confidence"])
    (first, *_) = rows(web.post("quantised", {**body, "top": 1000}))
    assert sum(entry["probability"] for entry in first["top"]) == pytest.approx(1.0)
    assert "top" not in rows(web.post("quantised", {**body, "top": 0}))[0]


def test_trace_holds_every_exit(web: Live) -> None:
    """Raw head outputs of every exit and the milliseconds of every graph, asked for in body, query or form."""
    asks = (
        web.post("spinner", {"inputs": ROWS[:1], "trace": True}),
        web.post("spinner", {"inputs": ROWS[:1]}, params={"trace": "true"}),
        web.post("spinner", files={"x": (None, json.dumps(ROWS[:1]), "application/json")}, data={"trace": "1"}),
    )
    for ask in asks:
        (row,) = rows(ask)
        assert [entry["exit"] for entry in row["trace"]["exits"]] == [1, 2, 3, 4]
        assert all(entry["outputs"] == {"logits": [2.0, 1.0]} for entry in row["trace"]["exits"])
        graphs = [(graph["stage"], graph["part"]) for graph in row["trace"]["graphs"]]
        assert graphs == [(stage, part) for stage in range(1, 5) for part in ("body", "head")]


STOPS = {"confidence": [None, 0.7, None, None]}
"""At exit 2 where the label is sure: rows 0 and 2 have 0.73 and 0.999, row 1 has 0.88."""


@pytest.mark.parametrize(
    "ask",
    [
        {"json": {"inputs": ROWS, "policy": STOPS}},
        {"json": {"inputs": ROWS}, "params": {"confidence": "null,0.7,null,null"}},
        {"content": np.float32(ROWS).tobytes(), "headers": RAW, "params": {"confidence": "null,0.7,null,null"}},
        {"files": {"x": ("x", np.float32(ROWS).tobytes(), RAW["Content-Type"]),
                   "policy": (None, json.dumps(STOPS), "application/json")}},
        {"json": {"inputs": ROWS, "policy": {"confidence": [None, 0.7, None, None]}}, "params": {"max_exit": "4"}},
    ],
    ids=["body", "query", "query of raw bytes", "form", "body and query"],
)  # fmt: skip
def test_a_policy_may_come_from_anywhere(ask: dict[str, Any], web: Live) -> None:
    """Body, query and form spell one policy; per-exit lists are comma-separated in a query."""
    assert [(row["exit"], row["stop_reason"]) for row in rows(web.post("spinner", **ask))] == [(2, "confidence")] * 3


@pytest.mark.parametrize(
    ("query", "exit", "reason"),
    [
        ("confidence=0.7", 1, "confidence"),
        ("max_exit=3", 3, "max_exit"),
        ("patience=2", 3, "patience"),
        ("confidence=0.7&patience=1&combine=all", 2, "confidence"),
        ("max_exit=3&confidence=0.9999", 3, "max_exit"),
        ("max_macs=16&patience=3", 2, "budget"),
        ("exact=true", 4, "full_depth"),
        ("priority=7", 4, "full_depth"),
        ("min_exit=2&confidence=0.7", 2, "confidence"),
        ("deadline_ms=60000&max_exit=2", 2, "max_exit"),
    ],
)
def test_every_field_in_the_query(query: str, exit: int, reason: str, web: Live) -> None:
    """Numbers, words and truths in a query do what they do in a body."""
    (row,) = rows(web.post("spinner", {"inputs": ROWS[:1]}, params=query))
    assert (row["exit"], row["stop_reason"]) == (exit, reason)


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service whose own default is exit 3 and a priority, over a bundle with a default and one without."""
    folder = tmp_path_factory.mktemp("layered")
    store = Store(folder / "store")
    calibration = {
        "default_policy": {"confidence": 0.7, "min_exit": 2},
        "operating_points": [{"name": "accuracy-1", "policy": {"patience": 3}, "accuracy": 0.9, "cost": 1.0,
                              "exit_shares": [0.0, 0.0, 0.0, 1.0]}],
    }  # fmt: skip
    store.publish(spinner.build(folder / "a").folder)
    store.publish(spinner.build(folder / "b", name="calm", calibration=calibration).folder)
    with live(store.root, default_policy={"max_exit": 3, "confidence": 0.8}) as service:
        yield service


@pytest.mark.parametrize(
    ("model", "policy", "exit", "reason"),
    [
        ("spinner", {}, 3, "max_exit"),
        ("spinner", {"confidence": 0.7}, 1, "confidence"),
        ("spinner", {"max_exit": None}, 4, "full_depth"),
        ("calm", {}, 2, "confidence"),
        ("calm", {"min_exit": None}, 1, "confidence"),
        ("calm", {"min_exit": 3}, 3, "confidence"),
        ("calm", {"confidence": None}, 3, "max_exit"),
        ("calm", {"patience": 1}, 2, "patience"),
        ("calm", {"patience": 1, "min_exit": 1}, 2, "patience"),
        ("calm", {"target": "accuracy-1", "max_exit": None}, 4, "patience"),
        ("calm", {"exact": True}, 4, "full_depth"),
    ],
)
def test_layers(model: str, policy: dict[str, Any], exit: int, reason: str, layered: Live) -> None:
    """The request over the bundle's default over the service's; rules replace rules, null removes, in body and query."""
    query = {name: "null" if value is None else str(value).lower() for name, value in policy.items()}
    for ask in ({"body": {"inputs": ROWS[:1], "policy": policy}}, {"body": {"inputs": ROWS[:1]}, "params": query}):
        (row,) = rows(layered.post(model, **ask))
        assert (row["exit"], row["stop_reason"]) == (exit, reason)


@pytest.mark.parametrize("version", ["1", "latest"])
def test_a_version_may_be_named(version: str, web: Live) -> None:
    """By its number or an alias."""
    url = f"{web.url}/v1/models/spinner/versions/{version}/predict"
    reply = httpx.post(url, json={"inputs": ROWS})
    assert reply.json()["version"] == 1


def test_a_connection_is_kept(web: Live) -> None:
    """Many requests share one connection, the errors among them too."""
    with web.connect() as wire:
        for number in range(20):
            body = b"{" if number % 5 == 4 else json.dumps({"inputs": ROWS}).encode()
            wire.ask("POST", "/v1/models/spinner/predict", body)
            assert wire.answer().status == (400 if number % 5 == 4 else 200)


def test_a_deadline_counts_from_the_head(mixed_store: Path) -> None:
    """A body that takes longer than the deadline to arrive gets 504, with nothing computed."""
    with live(mixed_store) as service, service.connect() as wire:
        body = json.dumps({"inputs": ROWS, "policy": {"deadline_ms": 1.0}}).encode()
        path = "/v1/models/spinner/predict"
        wire.send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)))
        assert service.post("spinner", {"inputs": ROWS}).status_code == 200  # surely longer than a millisecond
        graphs = service.graphs
        wire.send(body)
        assert wire.answer().error["code"] == "deadline_before_first_exit"
        assert service.graphs == graphs
