"""Messages between the supervisor and a process, over a real pair of sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from anytime.service.processes.line import Count, Counted, Held, Line, Message, Ready, Sum, Summed
from anytime.service.processes.totals import Family

FAMILY = Family("seen", "Hélp.", "counter", [("seen_total", {"model": "a"}, 1.5), ("seen_total", {"model": "b"}, 2e9)])
LONG = "x" * 3_000_000


async def carried(*messages: Message) -> list[Message | None]:
    """What comes at the other end, until the sender's end closes."""
    ours, theirs = socket.socketpair()
    sender, receiver = await Line.over(ours), await Line.over(theirs)
    for message in messages:
        sender.send(message)
    came: list[Message | None] = [await receiver.receive() for _ in messages]
    sender.close()
    came.append(await receiver.receive())
    receiver.close()
    return came


@pytest.mark.parametrize(
    "message",
    [Ready(), Held(3, 2), Count(7), Counted(7, []), Sum(1), Summed(1, "# HELP é\n"), Summed(2, LONG)],
    ids=lambda message: type(message).__name__,
)
def test_a_message_comes_whole(message: Message) -> None:
    """Each kind, and one that no single read holds; then the end."""
    assert asyncio.run(carried(message)) == [message, None]


def test_messages_come_in_order() -> None:
    """Whatever their lengths."""
    messages = [Held(1, 0), Summed(1, LONG), Held(2, 0), Ready()]
    assert asyncio.run(carried(*messages)) == [*messages, None]


def test_counted_families() -> None:
    """Names, labels, values; a sample is a list on the way."""
    (came, _) = asyncio.run(carried(Counted(1, [FAMILY])))
    assert isinstance(came, Counted)
    (family,) = came.families
    assert [tuple(sample) for sample in family.samples] == FAMILY.samples
    assert (family.name, family.help, family.kind) == (FAMILY.name, FAMILY.help, FAMILY.kind)


@pytest.mark.parametrize("piece", [b"", b"\0\0", b"\0\0\0\x09[1"])
def test_an_end_in_the_middle(piece: bytes) -> None:
    """Of a message that its sender did not live to finish nothing is told."""

    async def heard() -> Message | None:
        ours, theirs = socket.socketpair()
        line = await Line.over(theirs)
        with ours:
            ours.sendall(piece)
        try:
            return await line.receive()
        finally:
            line.close()

    assert asyncio.run(heard()) is None


def test_to_an_end_that_is_gone() -> None:
    """Nothing is raised at whoever still has something to say."""

    async def said() -> Message | None:
        ours, theirs = socket.socketpair()
        line = await Line.over(ours)
        theirs.close()
        for _ in range(10):
            line.send(Summed(1, LONG))
            await asyncio.sleep(0)
        try:
            return await line.receive()
        finally:
            line.close()

    assert asyncio.run(said()) is None
