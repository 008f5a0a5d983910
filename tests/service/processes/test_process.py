"""One of several processes, with the test for its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from anytime.service.processes.line import Count, Counted, Held, Leaving, Line, Message, Ready, Sum, Summed
from anytime.service.processes.process import PortlessServer
from anytime.service.settings import Settings
from tests.service.live import PATIENCE_S, expect


class Supervised:
    """The process's server in a thread, and its supervisor's ends."""

    def __init__(self, server: PortlessServer, door: socket.socket, line: Line) -> None:
        self.server = server
        self.door = door
        self.line = line
        self.thread = threading.Thread(target=server.run, name="portless")
        self._listener = socket.create_server(("127.0.0.1", 0))

    def client(self) -> Client:
        """One whose connection has been handed over."""
        client = Client(self._listener.getsockname())
        with self._listener.accept()[0] as accepted:
            socket.send_fds(self.door, [b"c"], [accepted.fileno()])
        return client

    async def hears(self, message: Message) -> None:
        """Returns once the process has said this."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.line.receive() != message:
                continue

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        self.door.close()
        self._listener.close()
        assert not self.thread.is_alive()


class Client:
    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
        self._connection.connect()

    async def get(self, path: str) -> tuple[int, str]:
        """Asked on a thread, for the test must go on and be the supervisor."""
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> tuple[int, str]:
        self._connection.request("GET", path)
        reply = self._connection.getresponse()
        return reply.status, reply.read().decode()

    def close(self) -> None:
        self._connection.close()


@contextlib.asynccontextmanager
async def supervised(store: Path) -> AsyncIterator[Supervised]:
    """A process that has said that it is ready."""
    (door, its_door), (line, its_line) = socket.socketpair(), socket.socketpair()
    settings = Settings(store=store, warmup_s=0.0, drain_s=0.0, workers=1)
    process = Supervised(PortlessServer(settings, its_door, its_line), door, await Line.over(line))
    process.thread.start()
    try:
        await process.hears(Ready())
        yield process
    finally:
        await asyncio.to_thread(process.stop)
        process.line.close()


def test_what_it_holds_and_no_longer_holds_is_told(mixed_store: Path) -> None:
    """A connection that was handed over is answered on; its end is told as its coming was."""

    async def run() -> tuple[int, str]:
        async with supervised(mixed_store) as process:
            client = process.client()
            answer = await client.get("/healthz")
            await process.hears(Held(1, 0))
            client.close()
            await process.hears(Held(1, 1))
            return answer

    assert asyncio.run(run()) == (200, '{"live":true}')


def test_it_counts_when_it_is_asked(mixed_store: Path) -> None:
    """Under the number of the question."""

    async def run() -> list[str]:
        async with supervised(mixed_store) as process:
            process.line.send(Count(41))
            async with asyncio.timeout(PATIENCE_S):
                while not isinstance(said := await process.line.receive(), Counted):
                    continue
            assert said.number == 41
            return [family.name for family in said.families]

    assert "anytime_exit_depth" in asyncio.run(run())


def test_metrics_are_what_the_supervisor_says(mixed_store: Path) -> None:
    """Several may ask at once, and be answered in any order; where it says nothing the process gives its own count."""

    async def run() -> list[tuple[int, str]]:
        async with supervised(mixed_store) as process:
            clients = [process.client() for _ in range(3)]
            asked = []
            for number, client in enumerate(clients, 1):
                asked.append(asyncio.create_task(client.get("/metrics")))
                await process.hears(Sum(number))
            process.line.send(Summed(2, "second"))
            process.line.send(Summed(1, "first"))
            process.line.send(Summed(3, ""))
            answers = await asyncio.gather(*asked)
            for client in clients:
                client.close()
            return answers

    first, second, own = asyncio.run(run())
    assert (first, second) == ((200, "first"), (200, "second"))
    assert "anytime_exit_depth" in own[1]


def test_without_its_supervisor_it_drains(mixed_store: Path) -> None:
    """Whoever asks for metrics meanwhile, or waits for them, gets its own; nothing is raised by what it has left to tell."""

    async def run() -> list[tuple[int, str]]:
        async with supervised(mixed_store) as process:
            clients = [process.client() for _ in range(2)]
            waits = asyncio.create_task(clients[0].get("/metrics"))
            await process.hears(Sum(1))
            process.line.close()
            process.door.close()
            answers = [await waits]
            await asyncio.to_thread(expect, lambda: process.server.should_exit)
            with contextlib.suppress(OSError, http.client.HTTPException):  # it may have ended by now
                answers.append(await clients[1].get("/metrics"))
            for client in clients:
                client.close()
            return answers

    answers = asyncio.run(run())
    assert [(status, "anytime_exit_depth" in text) for status, text in answers] == [(200, True)] * len(answers)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM first", "SIGINT first"])
def test_two_signals_hurry_it(first: signal.Signals, mixed_store: Path) -> None:
    """In either order: two that come at once are told in that of their numbers."""

    async def run() -> tuple[bool, bool]:
        async with supervised(mixed_store) as process:
            process.server.handle_exit(first, None)
            alone = process.server.force_exit
            process.server.handle_exit(signal.SIGINT if first == signal.SIGTERM else signal.SIGTERM, None)
            return alone, process.server.force_exit

    assert asyncio.run(run()) == (False, True)


def test_it_says_that_it_leaves(mixed_store: Path) -> None:
    """First of all, so that no client is sent to where there is only 503."""

    async def run() -> bool:
        async with supervised(mixed_store) as process:
            client = process.client()
            assert await client.get("/healthz") == (200, '{"live":true}')
            process.server.should_exit = True
            await process.hears(Leaving())
            client.close()
            return process.server.started

    assert asyncio.run(run())
