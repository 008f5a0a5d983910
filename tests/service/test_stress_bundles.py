"""Each stress bundle over real HTTP, with the numbers that its reference and its hand count give."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from httpx_sse import connect_sse
from PIL import Image

from tests.bundles import BUNDLES, cascade, eann, quantised, sequence, slices, ztw
from tests.bundles.cases import ALL, CASES, NO_RULE, ROWS, Case, Expected, cost, expected, probabilities

LEVELS = ("fine", "coarse")
LEVEL_LABELS = (quantised.FINE, quantised.COARSE)


@pytest.fixture(scope="module")
def client(stress_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stress_url, timeout=30.0) as client:
        yield client


def path(module: ModuleType) -> str:
    return f"/v1/models/{module.NAME}/predict"


def nested(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: values.tolist() for name, values in inputs.items()}


def post(client: httpx.Client, module: ModuleType, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    reply = client.post(path(module), json=body)
    assert reply.status_code == 200, reply.text
    said = reply.json()
    assert (said["model"], said["version"]) == (module.NAME, 1)
    rows: list[dict[str, Any]] = said["rows"]
    return rows


def assert_answers(rows: list[dict[str, Any]], wanted: list[Expected], module: ModuleType) -> None:
    assert len(rows) == len(wanted)
    for row, known in zip(rows, wanted, strict=True):
        assert (row["exit"], row["stop_reason"]) == (known.exit, known.reason)
        assert (row["depth"], row["index"], row["cost"]) == (known.depth, known.index, known.cost)
        assert row["confidence"] == pytest.approx(known.confidence, rel=0, abs=module.TOLERANCE or 1e-12)
        if module is quantised:
            assert row["level"] == LEVELS[known.level]
            assert row["label"] == LEVEL_LABELS[known.level][known.index]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.module.NAME}: {case.name}")
def test_served_as_written_down(case: Case, client: httpx.Client) -> None:
    """Exit, reason, depth, label, confidence and cost of every row are those of the table that replay is held to."""
    body = {"inputs": nested(case.module.inputs(ROWS)), "policy": dict(case.policy)}
    assert_answers(post(client, case.module, body), expected(case), case.module)


def test_rows_under_different_policies_at_once(client: httpx.Client) -> None:
    """Many requests at the same time, so that runs mix rows, steps and policies, answer as each does alone."""
    cases = CASES * 3

    def ask(case: Case) -> list[dict[str, Any]]:
        body = {"inputs": nested(case.module.inputs(ROWS)), "policy": dict(case.policy)}
        return post(client, case.module, body)

    with ThreadPoolExecutor(16) as pool:
        for case, rows in zip(cases, pool.map(ask, cases), strict=True):
            assert_answers(rows, expected(case), case.module)


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_a_trace_holds_the_raw_head_outputs(module: ModuleType, client: httpx.Client) -> None:
    """With ``trace`` every exit's outputs are the reference's, and every graph has its milliseconds."""
    inputs = module.inputs(2)
    policy = NO_RULE if module is quantised else {}
    known = module.reference(inputs)
    for r, row in enumerate(post(client, module, {"inputs": nested(inputs), "policy": policy, "trace": True})):
        assert [entry["exit"] for entry in row["trace"]["exits"]] == list(range(1, len(known) + 1))
        for entry, outputs in zip(row["trace"]["exits"], known, strict=True):
            assert entry["outputs"].keys() == outputs.keys()
            for name, values in outputs.items():
                said = np.float32(entry["outputs"][name])  # JSON has the shortest digits that give this float32 again
                np.testing.assert_allclose(said, np.float32(values[r]), rtol=0, atol=module.TOLERANCE)
        ran = {(graph["stage"], graph["part"]) for graph in row["trace"]["graphs"]}
        assert ran == module.MACS.keys()
        assert all(graph["ms"] >= 0.0 for graph in row["trace"]["graphs"])


def events(client: httpx.Client, module: ModuleType, body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    headers = {"Accept": "text/event-stream"}
    with connect_sse(client, "POST", path(module), json=body, headers=headers) as source:
        assert source.response.status_code == 200, source.response.read()
        return [(each.event, each.json()) for each in source.iter_sse()]


def test_a_stream_shows_passive_exits(client: httpx.Client) -> None:
    """EANN: every exit appears in a stream, the passive ones too; the answer is still the best validated one."""
    inputs = eann.inputs(1)
    said = events(client, eann, {"inputs": nested(inputs)})
    assert [name for name, _ in said] == [*["prediction"] * 5, "final", "done"]
    known = eann.reference(inputs)
    ran = ALL[eann].split()
    for k, (_, prediction) in enumerate(said[:5], start=1):
        assert (prediction["exit"], prediction["depth"], prediction["row"]) == (k, k, 0)
        assert prediction["confidence"] == pytest.approx(probabilities(eann, known, k).max(), abs=1e-12)
        assert prediction["cost"] == cost(eann, " ".join(ran[: 2 * k]))
        assert "stop_reason" not in prediction
    final = said[5][1]
    assert (final["exit"], final["depth"], final["stop_reason"]) == (4, 5, "full_depth")
    assert final["cost"] == cost(eann, ALL[eann])


def test_a_stream_of_several_rows_has_one_final_each(client: httpx.Client) -> None:
    """ZTW under confidence: each row streams the exits up to its own stop."""
    case = next(case for case in CASES if case.module is ztw and case.name == "confidence")
    said = events(client, ztw, {"inputs": nested(ztw.inputs(ROWS)), "policy": dict(case.policy)})
    finals = sorted((event for name, event in said if name == "final"), key=lambda event: event["row"])
    assert_answers(finals, expected(case), ztw)
    for final in finals:
        shown = [event["exit"] for name, event in said if name == "prediction" and event["row"] == final["row"]]
        assert shown == list(range(1, final["exit"] + 1))


LENGTHS = (sequence.MIN, 3, 5, 7, sequence.TYPICAL, 13, 21, sequence.MAX)


def test_sequences_of_different_lengths_at_once(client: httpx.Client) -> None:
    """Requests of eight lengths in flight together, each with its mask, get the answers of their own tokens."""
    plain = next(case for case in CASES if case.module is sequence and case.name == "no rule")

    def ask(length: int) -> list[dict[str, Any]]:
        return post(client, sequence, {"inputs": nested(sequence.inputs(3, seed=length, length=length))})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(ask, LENGTHS * 4))
    for length, rows in zip(LENGTHS * 4, replies, strict=True):
        inputs = sequence.inputs(3, seed=length, length=length)
        assert_answers(rows, expected(plain, inputs), sequence)


@pytest.mark.parametrize("form", ["encoded", "multipart"])
def test_integers_arrive_in_every_form(form: str, client: httpx.Client) -> None:
    """int64 ids and masks sent as base64 or as parts answer as nested lists do."""
    plain = next(case for case in CASES if case.module is sequence and case.name == "no rule")
    inputs = sequence.inputs(ROWS, length=5)
    if form == "encoded":
        body = {
            name: {"dtype": "int64", "shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode()}
            for name, values in inputs.items()
        }
        rows = post(client, sequence, {"inputs": body})
    else:
        shape = f'application/octet-stream; shape="{ROWS},5"'
        parts = {name: (name, values.tobytes(), shape) for name, values in inputs.items()}
        reply = client.post(path(sequence), files=parts)
        assert reply.status_code == 200, reply.text
        rows = reply.json()["rows"]
    assert_answers(rows, expected(plain, inputs), sequence)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": [[1] * 33], "mask": [[1] * 33]},
        {"ids": [[1]], "mask": [[1]]},
        {"ids": [[1, 2, 3]], "mask": [[1, 1]]},
        {"ids": [[1, 2], [3]], "mask": [[1, 1], [1, 1]]},
        {"ids": [[1.5, 2.0]], "mask": [[1, 1]]},
        {"ids": [[1, 2]]},
    ],
    ids=["too long", "too short", "axes disagree", "ragged", "no integer", "no mask"],
)
def test_sequences_that_do_not_fit_are_refused(change: dict[str, Any], client: httpx.Client) -> None:
    """Lengths out of bounds, axes that disagree, ragged lists, fractions and missing inputs are 422."""
    reply = client.post(path(sequence), json={"inputs": change})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_tensor")


def test_a_budget_below_the_first_slice_is_refused(client: httpx.Client) -> None:
    """``max_cost`` that no exit fits is a 422 that names the field."""
    body = {"inputs": nested(slices.inputs(1)), "policy": {"max_cost": 0.2}}
    reply = client.post(path(slices), json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "policy_budget_too_small")


def test_levels_commitment_and_ood_are_told(client: httpx.Client) -> None:
    """Every level of the answer's exit, and the sigmoids of its commitment and ood, stand in the row."""
    inputs = quantised.inputs(ROWS)
    known = quantised.reference(inputs)
    policy = NO_RULE | {"max_exit": 2, "min_exit": 2}
    for r, row in enumerate(post(client, quantised, {"inputs": nested(inputs), "policy": policy, "top": 3})):
        assert (row["exit"], row["stop_reason"]) == (2, "max_exit")
        for level, name in enumerate(LEVELS):
            p = probabilities(quantised, known, 2, level)[r]
            said = row["levels"][name]
            assert (said["index"], said["label"]) == (p.argmax(), LEVEL_LABELS[level][p.argmax()])
            assert said["confidence"] == pytest.approx(p.max(), rel=0, abs=1e-12)
        for name in ("commitment", "ood"):
            assert row[name] == pytest.approx(1.0 / (1.0 + np.exp(-known[1][name][r, 0])), rel=1e-12)
        p = probabilities(quantised, known, 2)[r]
        best = np.argsort(-p, kind="stable")[:3]
        assert [entry["index"] for entry in row["top"]] == best.tolist()
        assert [entry["probability"] for entry in row["top"]] == pytest.approx(p[best].tolist(), rel=0, abs=1e-12)


def test_a_picture_is_its_pixels(client: httpx.Client) -> None:
    """A PNG of 6 x 6 grey pixels and the same bytes sent raw answer as the nested list does."""
    pixels = quantised.inputs(1)["pixels"]
    known = post(client, quantised, {"inputs": nested({"pixels": pixels})})
    file = io.BytesIO()
    Image.fromarray(pixels[0, 0]).save(file, format="PNG")
    for content, kind in ((file.getvalue(), "image/png"), (pixels.tobytes(), "application/octet-stream")):
        reply = client.post(path(quantised), content=content, headers={"Content-Type": kind})
        assert reply.status_code == 200, reply.text
        said = reply.json()["rows"][0]
        assert {**said, "compute_ms": 0} == {**known[0], "compute_ms": 0}


def test_steps_share_no_state(client: httpx.Client) -> None:
    """Cascade: the stored start is copied per row; the hundredth request answers as the first."""
    case = next(case for case in CASES if case.module is cascade and case.name == "max_exit 6")
    body = {"inputs": nested(cascade.inputs(ROWS)), "policy": dict(case.policy)}
    for _ in range(100):
        assert_answers(post(client, cascade, body), expected(case), cascade)
