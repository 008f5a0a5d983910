"""What is served: the list, one model, one version, an alias."""

from __future__ import annotations

import pytest

from anytime.service import schema
from tests.bundles import quantised, sequence
from tests.service.live import Live, assert_refused


def test_the_list(web: Live) -> None:
    """Every model of the store with its versions and aliases, the refused one with its fault."""
    body = web.get("/v1/models").json()
    assert schema.ModelList.model_validate(body)
    entries = {entry["name"]: entry for entry in body["models"]}
    assert list(entries) == ["broken", "quantised", "sequence", "spinner", "ztw"]
    assert entries["broken"]["refused"] == {"1": "wrong_hash"}
    assert entries["broken"]["loaded"] == []
    spinner = {"name": "spinner", "version": 1, "versions": [1], "aliases": {"latest": 1}, "loaded": [1], "refused": {}}
    assert entries["spinner"] == spinner


@pytest.mark.parametrize("path", ["", "/versions/1", "/versions/latest"])
def test_a_model(path: str, web: Live) -> None:
    """Inputs, exits with cost, milliseconds and accuracy, operating points: all that a client must know."""
    reply = web.get(f"/v1/models/{quantised.NAME}{path}")
    assert schema.ModelInfo.model_validate_json(reply.content)
    body = reply.json()
    assert body["version"] == 1
    assert [level["name"] for level in body["levels"]] == ["fine", "coarse"]
    assert body["labels"] == list(quantised.FINE)
    assert body["default_policy"] == quantised.DEFAULT_POLICY
    assert {point["name"] for point in body["operating_points"]} == set(quantised.OPERATING_POINTS)
    assert [entry["exit"] for entry in body["exits"]] == [1, 2, 3]
    assert body["exits"][0]["macs"] == quantised.MACS[1, "body"] + quantised.MACS[1, "head"]
    assert [entry["macs"] / body["macs_full"] for entry in body["exits"]] == [entry["cost"] for entry in body["exits"]]
    assert body["exits"][-1]["cost"] == 1.0
    assert all(entry["ms"] > 0 for entry in body["exits"])
    assert "stop" in body["exits"][0]["outputs"]


def test_open_axes_are_told(web: Live) -> None:
    """Names, dtypes and shapes of the inputs, and the bounds of their axes."""
    body = web.get(f"/v1/models/{sequence.NAME}").json()
    assert [(entry["name"], entry["dtype"], entry["shape"]) for entry in body["inputs"]] == [
        ("ids", "int64", ["batch", "sequence"]),
        ("mask", "int64", ["batch", "sequence"]),
    ]
    assert body["axes"]["sequence"] == {"min": sequence.MIN, "max": sequence.MAX, "typical": sequence.TYPICAL}


def test_what_is_not_there(web: Live) -> None:
    """404 for an unknown model, version or alias; 503 for a bundle that was refused."""
    assert_refused(web.get("/v1/models/none"), 404, "model_not_found")
    assert_refused(web.get("/v1/models/spinner/versions/2"), 404, "version_not_found")
    assert_refused(web.get("/v1/models/spinner/versions/01"), 404, "version_not_found")
    assert_refused(web.get("/v1/models/broken"), 503, "bundle_refused")


def test_head_has_no_body(web: Live) -> None:
    """HEAD is GET without the content."""
    with web.connect() as wire:
        wire.send(b"HEAD /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = wire.rest().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b""
