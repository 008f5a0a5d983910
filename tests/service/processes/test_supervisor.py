"""Several processes on one port, as a user starts them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from anytime.model_store import Store
from anytime.service.listening import listen
from anytime.service.processes.supervisor import Supervisor
from anytime.service.settings import Settings
from tests.served import Served, background, serve
from tests.service import spinner
from tests.service.live import PATIENCE_S, Live, expect
from tests.service.test_server import start

PREDICT = "/v1/models/spinner/predict"
ROW = spinner.row()
FLAGS = ("--processes", "2", "--workers", "1", "--warmup-s", "0", "--poll-s", "0.05", "--drain-s", "0.1")


class Caller:
    """A client that keeps its connection."""

    def __init__(self, served: Served) -> None:
        self._connection = http.client.HTTPConnection(served.address, timeout=PATIENCE_S)
        self._connection.connect()
        self._connection.auto_open = 0  # a connection that was lost stays lost

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        self._connection.request(method, path, body=None if body is None else json.dumps(body))
        reply = self._connection.getresponse()
        said = reply.read()
        assert reply.status == 200, said
        return said

    def predict(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self.ask("POST", PREDICT, {"inputs": [ROW]}))
        return reply

    def metric(self, name: str, **labels: str) -> float:
        text = self.ask("GET", "/metrics").decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and sample.labels.items() >= labels.items()
        )

    def is_alive(self) -> bool:
        try:
            self.ask("GET", "/healthz")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.publish(spinner.build(tmp_path / "bundle").folder)
    return store


@contextlib.contextmanager
def two(store: Store, tmp_path: Path, *flags: str) -> Iterator[Served]:
    """A service of two processes, both ready."""
    with serve(store.root, tmp_path / "log", *FLAGS, *flags) as served:
        expect(lambda: "serving" in messages(served))
        yield served


def records(served: Served) -> list[dict[str, Any]]:
    """All whole lines of the log that are a record; the runtime below may say something else, and a line be half written."""
    lines = served.log.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines if line.startswith("{")]


def messages(served: Served) -> list[str]:
    return [record["message"] for record in records(served)]


def pids(served: Served) -> list[int]:
    """Of all processes that were ever started."""
    return [record["pid"] for record in records(served) if record["message"] == "process started"]


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return (
            "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else not os.kill(pid, 0)
        )
    except (OSError, ProcessLookupError):
        return False


@contextlib.contextmanager
def callers(served: Served, number: int) -> Iterator[list[Caller]]:
    """Clients that were answered once, one after another."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            made.append(Caller(served))
            stack.callback(made[-1].close)
            assert made[-1].is_alive()
        yield made


def test_connections_are_spread_and_a_process_that_dies_is_replaced(store: Store, tmp_path: Path) -> None:
    """Of four each process holds two; one is killed, the others' clients notice nothing, and its successor, which holds
    none, gets the next two.
    """
    with two(store, tmp_path) as served, callers(served, 4) as four:
        os.kill(pids(served)[0], signal.SIGKILL)
        expect(lambda: not is_running(pids(served)[0]))
        assert sorted(caller.is_alive() for caller in four) == [False, False, True, True]
        with callers(served, 1) as (meanwhile,):
            assert meanwhile.predict()["rows"][0]["exit"] == spinner.EXITS
        expect(lambda: messages(served).count("Application startup complete.") == 3)
        expect(lambda: messages(served).count("bundle loaded") == 3)
        survivors = [caller for caller in four if caller.is_alive()]
        expect(lambda: spread_evenly(served, survivors))
    assert "a process ended: another takes its place" in messages(served)


def spread_evenly(served: Served, survivors: list[Caller]) -> bool:
    """Whether two new clients went where nobody was, by the files that each process has open; where these can be seen."""
    with callers(served, 2) as new:
        assert all(caller.is_alive() for caller in [*survivors, *new])
        held = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids(served)[1:] if Path("/proc").is_dir()]
        return max(held, default=0) - min(held, default=0) <= 1


def test_clients_on_the_way_to_processes_that_die_are_answered(store: Store, tmp_path: Path) -> None:
    """They were handed over and never taken: the successors answer them."""
    with two(store, tmp_path) as served:
        first = pids(served)
        for pid in first:
            os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(httpx.get, f"{served.url}/healthz", timeout=PATIENCE_S) for _ in range(4)]
            time.sleep(0.2)  # so that they are on the way; if one is not, it only finds less to prove
            for pid in first:
                os.kill(pid, signal.SIGKILL)
            assert [one.result(PATIENCE_S).json() for one in asked] == [{"live": True}] * 4
        assert len(pids(served)) == 4


def test_metrics_are_of_all_processes(store: Store, tmp_path: Path) -> None:
    """Whoever is asked, the sum is the same; and it does not fall when a process dies."""
    rows = {"model": "spinner"}
    with two(store, tmp_path) as served, callers(served, 2) as both:
        for caller in (*both, *both, both[0]):
            caller.predict()
        assert [caller.metric("anytime_rows_admitted_total", **rows) for caller in both] == [5, 5]
        assert both[0].metric("anytime_exit_depth_count", **rows) == 5
        assert both[0].metric("process_resident_memory_bytes") > 0
        os.kill(pids(served)[0], signal.SIGKILL)
        expect(lambda: not is_running(pids(served)[0]))
        (left,) = [caller for caller in both if caller.is_alive()]
        left.predict()
        expect(lambda: left.metric("anytime_rows_admitted_total", **rows) == 6)
        expect(lambda: messages(served).count("bundle loaded") == 3)
        assert left.metric("anytime_rows_admitted_total", **rows) == 6


def test_a_new_version_comes_to_all_processes(store: Store, tmp_path: Path) -> None:
    """Each watches the store by itself."""
    with two(store, tmp_path) as served, callers(served, 2) as both:
        assert [caller.predict()["version"] for caller in both] == [1, 1]
        store.publish(spinner.build(tmp_path / "next", version=2).folder)
        expect(lambda: [caller.predict()["version"] for caller in both] == [2, 2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_all_processes_with_success(number: signal.Signals, store: Store, tmp_path: Path) -> None:
    """A stream on each, the signal comes: their rows get ``final``, the service exits 0, and no process is left."""
    body = {"inputs": [spinner.row(0, 4 * spinner.LONG)], "stream": True}
    with two(store, tmp_path) as served, httpx.Client(timeout=PATIENCE_S) as client, contextlib.ExitStack() as streams:
        replies = [streams.enter_context(client.stream("POST", f"{served.url}{PREDICT}", json=body)) for _ in range(2)]
        lines = [reply.iter_lines() for reply in replies]
        assert [next(of_one) for of_one in lines] == ["id: 1", "id: 1"]
        served.process.send_signal(number)
        ends = ["\n".join(of_one) for of_one in lines]
        assert ['"stop_reason":"cancelled"' in end for end in ends] == [True, True]
        assert [end.rstrip().rpartition("event: ")[2][:4] for end in ends] == ["done", "done"]
        assert served.process.wait(PATIENCE_S) == 0
        assert [pid for pid in pids(served) if is_running(pid)] == []
    assert [record for record in records(served) if record["level"] == "error"] == []


def test_a_second_interrupt_hurries(store: Store, tmp_path: Path) -> None:
    """A request that would be waited for ends at once, and nothing is logged as an error."""
    body = {"inputs": [spinner.row(0, 8 * spinner.LONG)], "stream": True}
    with two(store, tmp_path, "--drain-s", "3600") as served:
        with httpx.stream("POST", f"{served.url}{PREDICT}", json=body, timeout=PATIENCE_S) as reply:
            lines = reply.iter_lines()
            assert next(lines) == "id: 1"
            served.process.send_signal(signal.SIGINT)
            expect(lambda: messages(served).count("draining") == 2)
            served.process.send_signal(signal.SIGINT)
            assert '"stop_reason":"cancelled"' in "\n".join(lines)
        assert served.process.wait(PATIENCE_S) == 0
    assert [record for record in records(served) if record["level"] == "error"] == []


def test_processes_do_not_outlive_their_supervisor(store: Store, tmp_path: Path) -> None:
    """Killed, it cannot tell them; they notice, drain and end."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "anytime.cli.main", "serve", "--store", str(store.root), "--port", "0", *FLAGS]
    with log.open("wb") as output, background(command, output) as process:
        served = Served("", process, log)
        expect(lambda: "serving" in messages(served))
        process.kill()
        process.wait(PATIENCE_S)
        expect(lambda: not any(is_running(pid) for pid in pids(served)))
    assert messages(served).count("the supervisor is gone: draining") == 2


def test_a_port_that_is_taken(store: Store, web: Live) -> None:
    """The start fails with a status and says why, before any process is started."""
    result = start("--store", str(store.root), "--port", str(web.port), "--processes", "2")
    assert result.returncode == 1
    assert "ddress already in use" in result.stderr
    assert "Traceback" not in result.stderr
    assert "process started" not in result.stderr


def test_a_process_that_leaves_alone_gets_no_clients(store: Store, tmp_path: Path) -> None:
    """It is told to end, and takes its time for a request under way: whoever comes meanwhile goes to the other."""
    body = {"inputs": [spinner.row(0, 4 * spinner.LONG)], "stream": True}
    with (
        two(store, tmp_path, "--drain-s", "3600") as served,
        httpx.Client(timeout=PATIENCE_S) as client,
        contextlib.ExitStack() as streams,
    ):
        replies = [streams.enter_context(client.stream("POST", f"{served.url}{PREDICT}", json=body)) for _ in range(2)]
        lines = [reply.iter_lines() for reply in replies]
        assert [next(of_one) for of_one in lines] == ["id: 1", "id: 1"]
        os.kill(pids(served)[0], signal.SIGTERM)
        expect(lambda: "draining" in messages(served))
        for _ in range(5):
            with callers(served, 1) as (new,):
                assert json.loads(new.ask("GET", "/readyz"))["ready"]
        assert ["event: final" in "\n".join(of_one) for of_one in lines] == [True, True]


def test_clients_on_the_way_to_a_process_that_dies(tmp_path: Path, store: Store) -> None:
    """Both processes end before they take anybody: the start fails in good order, and the clients hear of it."""
    settings = Settings(processes=2, store=store.root)
    (listener,) = listen("127.0.0.1", 0)
    command = (sys.executable, "-c", "import time; time.sleep(1); raise SystemExit(3)")

    async def run() -> tuple[int, list[bytes]]:
        running = asyncio.create_task(Supervisor(settings, [listener], command=command).run())
        clients = [await asyncio.open_connection(*listener.getsockname()) for _ in range(3)]
        status = await running
        said = [await reader.read() for reader, _ in clients]
        for _, writer in clients:
            writer.close()
        return status, said

    with listener:
        status, said = asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
    assert (status, said) == (1, [b"", b"", b""])


def test_a_process_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    """Whatever is wrong with one would be wrong with the next: the service ends, with a status."""
    settings = Settings(processes=2, store=tmp_path)
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        began = Supervisor(settings, [listener], command=(sys.executable, "-c", "raise SystemExit(3)")).run()
        assert asyncio.run(asyncio.wait_for(began, PATIENCE_S)) == 1
