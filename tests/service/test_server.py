"""The process: how it starts, what stops its start, and how it ends while clients are still there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.served import serve
from tests.service import spinner
from tests.service.live import PATIENCE_S, Live, assert_refused, events, expect, live

PREDICT = "/v1/models/spinner/predict"
ROW = spinner.row()
AFTER_EXIT_1 = spinner.row(0, 4 * spinner.LONG)
HEARD = {"max_ms": 1e9}
"""Never reached; every exit is heard of at once."""
BEFORE_EXIT_1 = spinner.row(4 * spinner.LONG)


def ask(service: Live, rows: list[list[float]], **more: Any) -> Any:
    wire = service.connect()
    started = service.metric("anytime_queue_seconds_count")
    wire.ask("POST", PREDICT, json.dumps({"inputs": rows, **more}).encode())
    expect(lambda: service.metric("anytime_queue_seconds_count") > started)
    return wire


def test_open_streams_end_with_an_event(mixed_store: Path) -> None:
    """Rows with an exit get ``final``, reason ``cancelled``, others ``error`` ``shutting_down``; then comes ``done``."""
    with (
        live(mixed_store, workers=2) as service,
        ask(service, [AFTER_EXIT_1], stream=True) as first,
        ask(service, [BEFORE_EXIT_1], stream=True) as second,
    ):
        first.read_until(b"id: 1\n")
        service.stop()
        rest = first.rest()
        assert rest.count(b"event: ") == 3
        assert rest.index(b"event: prediction") < rest.index(b"event: final") < rest.index(b"event: done")
        assert b'"stop_reason":"cancelled"' in rest
        said = events(second.answer().body.decode())
        assert [name for name, _ in said] == ["error", "done"]
        assert said[0][1]["error"]["code"] == "shutting_down"
        assert second.rest() == b""


def test_open_requests_end_with_an_answer(mixed_store: Path) -> None:
    """Without a stream it is the best so far, or 503; of several rows the one without an exit carries the error."""
    with (
        live(mixed_store, workers=4) as service,
        ask(service, [AFTER_EXIT_1], policy=HEARD) as first,
        ask(service, [BEFORE_EXIT_1]) as second,
        ask(service, [BEFORE_EXIT_1, AFTER_EXIT_1], policy=HEARD) as third,
    ):
        expect(lambda: service.graphs >= 4)
        service.stop()
        (row,) = json.loads(first.answer().body)["rows"]
        assert (row["exit"], row["stop_reason"]) == (1, "cancelled")
        answer = second.answer()
        assert_refused(answer, 503, "shutting_down")
        assert answer.headers["connection"] == "close"
        failed, row = json.loads(third.answer().body)["rows"]
        assert (failed["row"], failed["error"]["code"]) == (0, "shutting_down")
        assert row["stop_reason"] == "cancelled"


def test_while_draining(mixed_store: Path) -> None:
    """Not ready, nothing new, and what is under way is finished before the process ends."""
    with live(mixed_store, drain_s=PATIENCE_S) as service, ask(service, [spinner.row(spinner.LONG)] * 3) as short:
        service.stop()
        expect(lambda: service.service.is_stopping)
        reply = service.get("/readyz")
        assert (reply.status_code, reply.json()["ready"], reply.json()["stopping"]) == (503, False, True)
        assert service.get("/healthz").status_code == 200
        assert_refused(service.post("spinner", {"inputs": [ROW]}), 503, "shutting_down")
        assert_refused(service.post("spinner", {"inputs": [ROW], "stream": True}), 503, "shutting_down")
        answer = short.answer()
        assert answer.status == 200
        assert [row["stop_reason"] for row in json.loads(answer.body)["rows"]] == ["full_depth"] * 3
    assert not service.thread.is_alive()


def test_slow_senders_do_not_hold_up_the_end(mixed_store: Path) -> None:
    """Connections without a whole request do not keep the process: an idle one, half a head, half a body."""
    with (
        live(mixed_store) as service,
        service.connect() as idle,
        service.connect() as slow_head,
        service.connect() as slow_body,
    ):
        idle.ask("GET", "/healthz")
        assert idle.answer().status == 200
        slow_head.send(b"POST /v1")
        slow_body.send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{" % PREDICT.encode())
        assert service.get("/healthz").status_code == 200
        service.stop()
        assert (idle.rest(), slow_head.rest()) == (b"", b"")
        assert_refused(slow_body.answer(), 503, "shutting_down")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_process_with_success(number: signal.Signals, mixed_store: Path, tmp_path: Path) -> None:
    """A stream is open, the signal comes: its row gets ``final``, the process exits 0 and has logged no error."""
    with serve(mixed_store, tmp_path / "log", "--drain-s", "0.1", "--workers", "1") as served:
        body = {"inputs": [AFTER_EXIT_1], "stream": True}
        with httpx.stream("POST", f"{served.url}{PREDICT}", json=body, timeout=PATIENCE_S) as reply:
            lines = reply.iter_lines()
            assert next(lines) == "id: 1"
            served.process.send_signal(number)
            rest = "\n".join(lines)
        assert "event: final" in rest
        assert '"stop_reason":"cancelled"' in rest
        assert rest.rstrip().rpartition("event: ")[2].startswith("done")
        assert served.process.wait(PATIENCE_S) == 0
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [record for record in records if record["level"] == "error" and "broken" not in record.values()] == []


def test_a_graph_that_runs_for_very_long(mixed_store: Path, tmp_path: Path) -> None:
    """It is not waited for, and the process still ends with success and no word from the runtime below."""
    with serve(mixed_store, tmp_path / "log", "--drain-s", "0", "--workers", "1") as served:
        body = {"inputs": [spinner.row(1000 * spinner.LONG)], "stream": True}
        with httpx.stream("POST", f"{served.url}{PREDICT}", json=body, timeout=PATIENCE_S) as reply:
            expect(lambda: "anytime_inflight 1.0" in httpx.get(f"{served.url}/metrics", timeout=PATIENCE_S).text)
            served.process.send_signal(signal.SIGTERM)
            assert "shutting_down" in "\n".join(reply.iter_lines())
        assert served.process.wait(PATIENCE_S) == 0
    log = (tmp_path / "log").read_text()
    assert "a graph still runs and is left behind" in log
    assert "terminate" not in log


def start(*flags: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """``anytime serve`` that is not expected to get far."""
    command = [sys.executable, "-m", "anytime.cli.main", "serve", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **(env or {})},
                          check=False)  # fmt: skip


def test_settings_from_flag_environment_and_file(mixed_store: Path, tmp_path: Path) -> None:
    """One process with a setting from each; the flag outranks the variable, and that the file."""
    config = tmp_path / "anytime.toml"
    config.write_text('body_bytes = "2 KiB"\nbatch_rows = 5\nqueue_rows = 7\n')
    flags = ("--config", str(config), "--batch-rows", "2")
    with serve(mixed_store, tmp_path / "log", *flags, env={"ANYTIME_BATCH_ROWS": "4"}) as served:
        url = f"{served.url}{PREDICT}"
        error = assert_refused(httpx.post(url, json={"inputs": [ROW] * 3}), 422, "batch_too_large")
        assert error["max_rows"] == 2
        error = assert_refused(httpx.post(url, content=b" " * 2049), 413, "body_too_large")
        assert error["max_bytes"] == 2048


@pytest.mark.parametrize(
    ("flags", "env", "says"),
    [
        (("--port", "70000"), {}, "--port"),
        (("--host", "0.0.0.0"), {}, "no API key is configured"),
        ((), {"ANYTIME_PROT": "8000"}, "ANYTIME_PORT"),
        (("--default-policy", '{"confidense": 0.9}'), {}, "confidence"),
        (("--config", "none.toml"), {}, "none.toml"),
    ],
    ids=["flag", "strangers", "variable", "policy", "file"],
)
def test_a_bad_setting_stops_the_start(flags: tuple[str, ...], env: dict[str, str], says: str) -> None:
    """Exit 2 and one line that names it."""
    result = start(*flags, env=env)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("anytime: ")
    assert says in line


def test_a_port_that_is_taken(mixed_store: Path, web: Live) -> None:
    """The start fails with a status and says why; no thread keeps the process."""
    result = start("--store", str(mixed_store), "--port", str(web.port))
    assert result.returncode not in {0, -signal.SIGKILL}
    assert "address already in use" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """An empty store is no fault: the service lives, is not ready, and becomes so when a bundle comes."""
    with live(tmp_path / "store") as service:
        assert service.get("/healthz").status_code == 200
        reply = service.get("/readyz")
        assert (reply.status_code, reply.json()["ready"], reply.json()["models"]) == (503, False, {})
        assert_refused(service.post("spinner", {"inputs": [ROW]}), 404, "model_not_found")
        assert service.get("/v1/models").json() == {"models": []}
