"""Connections that come in through the door instead of a port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from anytime.service.processes.doorway import Doorway
from anytime.service.processes.line import Held
from tests.service.live import PATIENCE_S


class Echo(asyncio.Protocol):
    """Says what it hears, and tells the doorway when it has ended."""

    def __init__(self, house: House) -> None:
        self._house = house

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._house.transports.append(transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.doorway.ended()


class House:
    """A doorway, whoever stands before it, and what was told."""

    def __init__(self) -> None:
        self.outside, door = socket.socketpair()
        self.reports: list[Held] = []
        self.transports: list[asyncio.Transport] = []
        self.is_abandoned = False
        self.changed = asyncio.Event()
        self.doorway = Doorway(door, lambda: Echo(self), self._report, self._abandoned)
        self.listener = socket.create_server(("127.0.0.1", 0))

    def _report(self, held: Held) -> None:
        self.reports.append(held)
        self.changed.set()

    def _abandoned(self) -> None:
        self.is_abandoned = True
        self.changed.set()

    def client(self) -> socket.socket:
        """One whose connection has been handed in."""
        client = socket.create_connection(self.listener.getsockname(), timeout=PATIENCE_S)
        with self.listener.accept()[0] as connection:
            socket.send_fds(self.outside, [b"c"], [connection.fileno()])
        return client

    async def reported(self, taken: int, ended: int) -> None:
        """Returns once this has been said."""
        async with asyncio.timeout(PATIENCE_S):
            while Held(taken, ended) not in self.reports:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def house() -> AsyncIterator[House]:
    made = House()
    made.doorway.open()
    try:
        yield made
    finally:
        made.doorway.close()
        made.outside.close()
        made.listener.close()


def test_connections_come_in_and_end() -> None:
    """Each answers its client; what was taken and what has ended is reported."""

    async def run() -> tuple[bytes, bytes]:
        async with house() as home:
            with home.client() as first, home.client() as second:
                await home.reported(2, 0)
                said = [
                    await asyncio.to_thread(echoed, client, text) for client, text in ((first, b"1"), (second, b"2"))
                ]
                first.close()
                await home.reported(2, 1)
            await home.reported(2, 2)
            return said[0], said[1]

    def echoed(client: socket.socket, text: bytes) -> bytes:
        client.sendall(text)
        return client.recv(10)

    assert asyncio.run(run()) == (b"1", b"2")


def test_small_pieces_go_out_at_once() -> None:
    """As on a connection that the process had accepted itself: no waiting for more to send."""

    async def run() -> int:
        async with house() as home:
            with home.client():
                await home.reported(1, 0)
                async with asyncio.timeout(PATIENCE_S):
                    while not home.transports:  # noqa: ASYNC110  # the next turn of the loop or the one after
                        await asyncio.sleep(0)
                end = home.transports[0].get_extra_info("socket")
                return int(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    assert asyncio.run(run()) != 0


def test_a_client_that_has_left_already() -> None:
    """It is taken and has ended, like any other."""

    async def run() -> list[Held]:
        async with house() as home:
            home.client().close()
            await home.reported(1, 1)
            return home.reports

    assert asyncio.run(run())[-1] == Held(1, 1)


def test_the_end_of_the_supervisor() -> None:
    """Told once; those inside go on."""

    async def run() -> bytes:
        async with house() as home:
            with home.client() as client:
                await home.reported(1, 0)
                home.outside.close()
                async with asyncio.timeout(PATIENCE_S):
                    while not home.is_abandoned:
                        home.changed.clear()
                        await home.changed.wait()
                client.sendall(b"still")
                return await asyncio.to_thread(client.recv, 10)

    assert asyncio.run(run()) == b"still"


def test_closing_twice() -> None:
    """The second time there is nothing to do, and nothing is told."""

    async def run() -> bool:
        async with house() as home:
            home.doorway.close()
            home.doorway.close()
            return home.is_abandoned

    assert not asyncio.run(run())
