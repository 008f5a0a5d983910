"""Streams over real sockets: the order of events, heartbeats, headers; and what becomes of rows whose client leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from httpx_sse import connect_sse

from tests.service import spinner
from tests.service.live import Live, Wire, assert_refused, events, expect, live

PREDICT = "/v1/models/spinner/predict"
ROW = spinner.row()
STREAM = {"stream": True}


def stream(service: Live, body: Any, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    reply = service.post("spinner", body, **more)
    assert reply.status_code == 200, reply.text
    return events(reply.text)


def test_every_exit_then_final_then_done(web: Live) -> None:
    """A ``prediction`` per exit, ``final`` with the reply's row, ``done`` with the reply less its rows."""
    said = stream(web, {"inputs": [ROW], **STREAM})
    assert [name for name, _ in said] == ["prediction"] * 4 + ["final", "done"]
    (plain,) = web.post("spinner", {"inputs": [ROW], "trace": True}).json()["rows"]
    del plain["trace"]
    *predictions, final, done = [data for _, data in said]
    assert len({data["id"] for _, data in said}) == 1
    assert [data["exit"] for data in predictions] == [data["depth"] for data in predictions] == [1, 2, 3, 4]
    assert all("stop_reason" not in data and data["row"] == 0 for data in predictions)
    assert {**final, "compute_ms": 0} == {**plain, "compute_ms": 0, "id": final["id"], "row": 0}
    assert list(done) == ["id", "model", "version", "elapsed_ms", "queue_ms"]


@pytest.mark.parametrize(
    "ask",
    [
        {"json": {"inputs": [ROW], **STREAM}},
        {"json": {"inputs": [ROW]}, "params": {"stream": "true"}},
        {"json": {"inputs": [ROW]}, "headers": {"Accept": "text/event-stream"}},
        {"content": np.float32(ROW).tobytes(), "headers": {"Accept": "text/html, text/event-stream;q=0.9"}},
        {"files": {"x": (None, json.dumps([ROW]), "application/json")}, "data": {"stream": "true"}},
    ],
    ids=["body", "query", "accept", "accept with raw bytes", "form"],
)
def test_a_stream_may_be_asked_for_anywhere(ask: dict[str, Any], web: Live) -> None:
    """In the body, the query, a form or by ``Accept``; its head keeps proxies from holding it back."""
    reply = web.post("spinner", **ask)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["x-request-id"]
    assert events(reply.text)[-1][0] == "done"


@pytest.mark.parametrize(
    "ask",
    [
        {"json": {"inputs": [ROW], "stream": False}},
        {"json": {"inputs": [ROW]}, "params": {"stream": "false"}},
        {"files": {"x": (None, json.dumps([ROW]), "application/json")}, "data": {"stream": "0"}},
    ],
    ids=["body", "query", "form"],
)
def test_a_stream_declined_outranks_accept(ask: dict[str, Any], web: Live) -> None:
    """Who says that no stream is wanted gets one reply, whatever ``Accept`` a library sends along."""
    reply = web.post("spinner", **ask, headers={"Accept": "text/event-stream"})
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.json()["rows"]) == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("TEXT/Event-Stream", "text/event-stream; charset=utf-8"), ("text/event-stream;q=0, */*", "application/json")],
)
def test_accept_is_read_as_http_says(accept: str, kind: str, web: Live) -> None:
    """In any case of letters, and a weight of 0 is a no."""
    assert web.post("spinner", {"inputs": [ROW]}, headers={"Accept": accept}).headers["content-type"] == kind


def test_several_rows(web: Live) -> None:
    """Each row streams the exits up to its own stop and has one ``final``, after its last prediction; ``done`` is last."""
    rows = [spinner.row(), spinner.row(yes=4.0), spinner.row(yes=0.6), spinner.row(yes=4.0)]
    said = stream(web, {"inputs": rows, "policy": {"confidence": 0.99, "max_exit": 3}, **STREAM, "top": 2})
    assert said[-1][0] == "done"
    for number, exit in enumerate([3, 1, 3, 1]):
        mine = [(name, data["exit"]) for name, data in said[:-1] if data["row"] == number]
        assert mine == [*(("prediction", k) for k in range(1, exit + 1)), ("final", exit)]
    assert all(len(data["top"]) == 2 for _, data in said[:-1])


def test_a_trace_is_in_the_final(web: Live) -> None:
    """The trace comes once per row."""
    said = stream(web, {"inputs": [ROW], **STREAM, "trace": True})
    assert ["trace" in data for _, data in said] == [False] * 4 + [True, False]


def test_what_can_be_refused_is_refused_before_the_stream(web: Live) -> None:
    """A bad policy, a bad tensor and a missing model are statuses, not events."""
    for path, body, status, code in (
        ("spinner", {"inputs": [ROW], "policy": {"confidence": 2}}, 422, "policy_out_of_range"),
        ("spinner", {"inputs": [ROW[:2]]}, 422, "invalid_tensor"),
        ("spiner", {"inputs": [ROW]}, 404, "model_not_found"),
    ):
        assert_refused(web.post(path, {**body, **STREAM}), status, code)


def test_a_row_that_fails_is_an_event(web: Live) -> None:
    """Errors after the stream opened are events with their row; the other rows go on, and ``done`` comes."""
    said = stream(web, {"inputs": [spinner.row(yes=3e38), ROW], **STREAM})
    assert [name for name, data in said if data.get("row") == 0] == ["error"]
    (error,) = [data for name, data in said if name == "error"]
    assert error.keys() == {"id", "row", "error"}
    assert error["error"]["code"] == "model_failed"
    assert [name for name, data in said if data.get("row") == 1] == ["prediction"] * 4 + ["final"]
    assert said[-1][0] == "done"


def test_a_stream_with_a_deadline(mixed_store: Path) -> None:
    """The timer ends it with the best so far, reason ``deadline``; without an exit it is an ``error`` event."""
    slow, never = spinner.row(0, 3 * spinner.LONG), spinner.row(3 * spinner.LONG)
    with live(mixed_store) as service:
        said = stream(service, {"inputs": [slow], "policy": {"deadline_ms": 100.0}, **STREAM})
        assert [name for name, _ in said] == ["prediction", "final", "done"]
        assert (said[1][1]["exit"], said[1][1]["stop_reason"]) == (1, "deadline")
    with live(mixed_store) as service:
        said = stream(service, {"inputs": [never], "policy": {"deadline_ms": 100.0}, **STREAM})
        assert [name for name, _ in said] == ["error", "done"]
        assert said[0][1]["error"]["code"] == "deadline_before_first_exit"


def test_heartbeats_while_a_graph_takes_long(mixed_store: Path) -> None:
    """Comments keep a quiet stream alive; a client sees no event in them."""
    with live(mixed_store, heartbeat_s=0.02) as service:
        reply = service.post("spinner", {"inputs": [spinner.row(spinner.LONG)], **STREAM})
        assert reply.text.startswith(":\n:\n")
        assert [name for name, _ in events(reply.text)] == ["prediction"] * 4 + ["final", "done"]


def test_a_head_does_not_wait_for_a_long_exit(mixed_store: Path) -> None:
    """The stream is open while its first graph still runs."""
    with live(mixed_store) as service, service.connect() as wire:
        wire.ask("POST", PREDICT, json.dumps({"inputs": [spinner.row(3 * spinner.LONG)], **STREAM}).encode())
        assert b"text/event-stream" in wire.read_until(b"\r\n\r\n")
        assert service.metric("anytime_first_prediction_seconds_count") == 0
        wire.read_until(b"event: done\n")


def test_events_come_as_they_are_computed(mixed_store: Path) -> None:
    """The first prediction is read while the second exit has not run."""
    with live(mixed_store) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        body = {"inputs": [spinner.row(0, spinner.LONG)], **STREAM}
        with connect_sse(client, "POST", PREDICT, json=body) as source:
            first = next(source.iter_sse())
            assert first.json()["exit"] == 1
            assert service.metric("anytime_rows_total", end="answered") == 0


def leave(service: Live, body: dict[str, Any], first: bytes = b"") -> None:
    """Sends a request, waits until it runs and ``first`` has come, and hangs up."""
    started = service.metric("anytime_queue_seconds_count")
    with service.connect() as wire:
        wire.ask("POST", PREDICT, json.dumps(body).encode())
        expect(lambda: service.metric("anytime_queue_seconds_count") > started)
        if first:
            wire.read_until(first)


@pytest.mark.parametrize("streams", [False, True], ids=["plain", "stream"])
def test_a_client_that_leaves_stops_its_compute(streams: bool, mixed_store: Path) -> None:
    """Its rows end as cancelled, and after that at most the graph in flight runs to its end."""
    with live(mixed_store) as service:
        rows = [spinner.row(0, spinner.LONG)] * 3
        leave(service, {"inputs": rows, "stream": streams}, b"event: prediction\n" if streams else b"")
        expect(lambda: service.metric("anytime_rows_total", end="cancelled") == 3)
        graphs = service.graphs
        # The one worker takes this row only when it has done with the others.
        assert service.post("spinner", {"inputs": [ROW]}).status_code == 200
        assert service.graphs - graphs - 5 in (0, 1)  # four bodies and the last head are this row's own
        assert service.metric("anytime_rows_total", end="answered") == 1
        assert service.service.engine.rows == 0
        assert service.service.engine.state_bytes == 0


def test_a_client_that_leaves_between_events(mixed_store: Path) -> None:
    """Of a stream that was half read, the rest is not computed."""
    with live(mixed_store) as service:
        with service.connect() as wire:
            wire.ask("POST", PREDICT, json.dumps({"inputs": [spinner.row(0, spinner.LONG)], **STREAM}).encode())
            wire.read_until(b"id: 2\n")
        expect(lambda: service.metric("anytime_rows_total", end="cancelled") == 1)
        assert service.post("spinner", {"inputs": [ROW]}).status_code == 200
        assert service.metric("anytime_graph_seconds_count", stage="4", part="head") == 1  # the second row's


def test_a_client_that_says_it_has_sent_all(mixed_store: Path) -> None:
    """A client that closes its sending side has left: this is how a hang-up looks, and no browser does it otherwise."""
    with live(mixed_store) as service, service.connect() as wire:
        wire.ask("POST", PREDICT, json.dumps({"inputs": [spinner.row(0, spinner.LONG)]}).encode())
        expect(lambda: service.metric("anytime_queue_seconds_count") == 1)
        wire.sock.shutdown(1)
        expect(lambda: service.metric("anytime_rows_total", end="cancelled") == 1)


def test_a_client_that_leaves_in_the_middle_of_its_body(mixed_store: Path) -> None:
    """Nothing is admitted, nothing logged as an error, and the next is served."""
    with live(mixed_store) as service:
        with service.connect() as wire:
            wire.send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{" % PREDICT.encode())
        assert service.post("spinner", {"inputs": [ROW]}).status_code == 200
        assert service.metric("anytime_rows_admitted_total") == 1


def test_a_client_that_does_not_read(mixed_store: Path) -> None:
    """A stream into a full socket does not hold up anybody else."""
    with live(mixed_store) as service:
        body = json.dumps({"inputs": [ROW] * 64, **STREAM, "trace": True}).encode()
        wires: list[Wire] = []
        for _ in range(3):
            wires.append(service.connect())
            wires[-1].ask("POST", PREDICT, body)
        for _ in range(5):
            assert service.post("spinner", {"inputs": [ROW]}).status_code == 200
        expect(lambda: service.service.engine.rows == 0)
        for wire in wires:
            wire.__exit__()
