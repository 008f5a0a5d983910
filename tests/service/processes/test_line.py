"""Messages between the supervisor and a process, over a real pair of sockets, on the loop of either."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from anytime.service.processes.line import Count, Counted, Held, Leaving, Line, Message, Ready, Sum, Summed
from anytime.service.processes.totals import Family

FAMILY = Family("seen", "Hélp.", "counter", [("seen_total", {"model": "a"}, 1.5), ("seen_total", {"model": "b"}, 2e9)])
LONG = "x" * 3_000_000
Runner = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Runs on the supervisor's loop, and on a process's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
        yield runner.run


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
    [Ready(), Leaving(), Held(3, 2), Count(7), Counted(7, []), Sum(1), Summed(1, "# HELP é\n"), Summed(2, LONG)],
    ids=lambda message: type(message).__name__,
)
def test_a_message_comes_whole(message: Message, run: Runner) -> None:
    """Each kind, and one that no single read holds; then the end."""
    assert run(carried(message)) == [message, None]


def test_messages_come_in_order(run: Runner) -> None:
    """Whatever their lengths."""
    messages = [Held(1, 0), Summed(1, LONG), Held(2, 0), Ready()]
    assert run(carried(*messages)) == [*messages, None]


def test_counted_families() -> None:
    """Names, labels, values; a sample is a list on the way."""
    (came, _) = asyncio.run(carried(Counted(1, [FAMILY])))
    assert isinstance(came, Counted)
    (family,) = came.families
    assert [tuple(sample) for sample in family.samples] == FAMILY.samples
    assert (family.name, family.help, family.kind) == (FAMILY.name, FAMILY.help, FAMILY.kind)


@pytest.mark.parametrize("piece", [b"", b"\0\0", b"\0\0\0\x09[1"])
def test_an_end_in_the_middle(piece: bytes, run: Runner) -> None:
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

    assert run(heard()) is None


def test_to_an_end_that_is_gone(run: Runner) -> None:
    """Nothing is raised at whoever still has something to say, also after its own end is closed."""

    async def said() -> Message | None:
        ours, theirs = socket.socketpair()
        line = await Line.over(ours)
        theirs.close()
        for _ in range(10):
            line.send(Summed(1, LONG))
            await asyncio.sleep(0.001)
        came = await line.receive()
        line.close()
        line.send(Ready())
        return came

    assert run(said()) is None


def test_an_end_in_an_error_is_told(run: Runner) -> None:
    """Whoever wrote to an end that is gone may have lost what that had said before."""

    async def broken() -> tuple[bool, Message | None, bool]:
        ours, theirs = socket.socketpair()
        line = await Line.over(ours)
        theirs.send(b"\0")
        line.send(Ready())
        await asyncio.sleep(0.01)
        theirs.close()  # with what it never read
        before = line.is_broken
        line.send(Summed(1, LONG))
        came = await line.receive()
        line.close()
        return before, came, line.is_broken

    assert run(broken()) == (False, None, True)
