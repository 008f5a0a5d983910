"""A process as its supervisor sees it, where the process is one that does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from anytime.service.processes.member import Member
from anytime.service.settings import Settings

IDLER = (sys.executable, "-c", "import time; time.sleep(600)")


@dataclass(frozen=True)
class Pair:
    """Both ends of a connection."""

    client: socket.socket
    accepted: socket.socket


@contextlib.asynccontextmanager
async def idler() -> AsyncIterator[Member]:
    """A process that takes no connection and says nothing."""
    member = await Member.start(Settings(), IDLER)
    try:
        yield member
    finally:
        member.kill(signal.SIGKILL)


@contextlib.contextmanager
def pair():
    client, accepted = socket.socketpair()
    with client, accepted:
        yield Pair(client, accepted)


async def end_of(member: Member) -> int:
    member.kill(signal.SIGKILL)
    return await member.attend(lambda: None, lambda number: None)


def test_what_was_never_taken_comes_back() -> None:
    """It counts as held, stays open though its process is killed, and can be handed to another."""

    async def run() -> tuple[int, int, list[socket.socket]]:
        with pair() as one:
            async with idler() as member:
                assert member.hand(one.accepted)
                held = member.connections
                status = await end_of(member)
                back = member.leave()
            one.client.sendall(b"hello")
            assert back[0].recv(5) == b"hello"
            return held, status, back

    held, status, back = asyncio.run(run())
    assert (held, status, len(back)) == (1, -signal.SIGKILL, 1)


def test_a_full_door_takes_no_more() -> None:
    """The hand says so instead of waiting, and what it did not give is not counted."""

    async def run() -> tuple[int, int]:
        with pair() as one, contextlib.ExitStack() as copies:
            async with idler() as member:
                handed = 0
                while handed < 100_000 and member.hand(copies.enter_context(one.accepted.dup())):
                    handed += 1
                held = member.connections
                await end_of(member)
                for connection in member.leave():
                    connection.close()
                return handed, held

    handed, held = asyncio.run(run())
    assert 0 < handed == held < 100_000


def test_nothing_goes_to_one_that_has_ended() -> None:
    """Neither a connection nor a signal nor a question."""

    async def run() -> bool:
        with pair() as one:
            async with idler() as member:
                await end_of(member)
                member.kill(signal.SIGTERM)
                taken = member.hand(one.accepted)
                member.leave()
                return taken

    assert not asyncio.run(run())


def test_an_end_answers_whoever_waits_for_the_count() -> None:
    """A process that ends while it is asked says no more; its last word stands, and nobody waits."""

    async def run() -> bool:
        async with idler() as member:
            asked = asyncio.create_task(member.count())
            await asyncio.sleep(0)
            await end_of(member)
            await asked
            member.leave()
            return member.counted == ()

    assert asyncio.run(run())
