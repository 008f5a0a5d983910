"""A process as its supervisor sees it, where the process is one that does nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

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
        await end_of(member)
        member.leave()


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


def test_nothing_comes_back_where_last_words_may_be_lost() -> None:
    """A process that was written to as it died may have taken the connection, and read from it: nobody else may."""

    async def run() -> tuple[bool, bytes]:
        with pair() as one:
            async with idler() as member:
                assert member.hand(one.accepted.dup())
                member.has_spoken = True
                counting = asyncio.create_task(member.count())
                await asyncio.sleep(0)
                await end_of(member)
                await counting
                given = one.accepted.fileno() >= 0 and not member.leave()
            one.accepted.close()
            return given, one.client.recv(1)

    assert asyncio.run(run()) == (True, b"")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"is_ready": True}, {}),
        ({}, {"is_leaving": True}),
        ({"is_ready": True}, {"is_ready": True, "is_leaving": True}),
    ],
    ids=["ready", "stays", "ready and stays"],
)
def test_who_is_chosen(first: dict[str, bool], second: dict[str, bool]) -> None:
    """One that is ready and does not drain, though it holds more."""

    async def run() -> bool:
        async with idler() as chosen, idler() as other:
            for member, marks in ((chosen, first), (other, second)):
                for name, value in marks.items():
                    setattr(member, name, value)
            with pair() as one:
                assert chosen.hand(one.accepted)
                now = time.monotonic()
                return chosen.load(now) < other.load(now)

    assert asyncio.run(run())


def test_one_that_takes_nothing_comes_last() -> None:
    """However few connections it holds: it hangs, and whoever is sent there waits."""

    async def run() -> tuple[bool, bool]:
        async with idler() as member:
            with pair() as one:
                assert member.hand(one.accepted)
                now = time.monotonic()
                alone, later, holds_many = member.load(now), member.load(now + 10), (False, True, False, 1000)
                return alone < holds_many, later > holds_many

    assert asyncio.run(run()) == (True, True)


def test_a_signal_does_not_cost_the_exit_status() -> None:
    """However close it comes to the end."""

    async def run() -> list[int]:
        statuses = []
        for _ in range(10):
            member = await Member.start(
                Settings(), (sys.executable, "-S", "-c", "import sys; sys.stdin.read(); sys.exit(7)")
            )
            ending = asyncio.create_task(member.attend(lambda: None, lambda number: None))
            while not ending.done():
                member.kill(signal.SIGCONT)
                await asyncio.sleep(0)
            statuses.append(await ending)
            member.leave()
        return statuses

    assert asyncio.run(run()) == [7] * 10


def test_a_full_door_takes_no_more() -> None:
    """The hand says so instead of waiting, and what it did not give is not counted."""

    async def run() -> tuple[int, int]:
        with pair() as one:
            async with idler() as member:
                handed = 0
                while handed < 100_000 and member.hand(one.accepted):
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
