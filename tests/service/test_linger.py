"""The transport under uvicorn: a head goes out with its body, and never waits for one."""

from __future__ import annotations

import asyncio

import pytest

from anytime.service.linger import LingeringTransport


class Recorded:
    """A transport that remembers what was written, and whether it was closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("writes", "sent"),
    [
        ([HEAD, b"body"], [HEAD + b"body"]),
        ([HEAD, b"some", b"more"], [HEAD + b"some", b"more"]),
        ([b"more"], [b"more"]),
        ([HEAD, b"a", HEAD, b"b"], [HEAD + b"a", HEAD + b"b"]),
    ],
    ids=["a reply", "a longer one", "no head", "two replies"],
)
def test_a_head_goes_out_with_its_body(writes, sent):
    """Head and first piece are one write; what follows is written as it comes."""

    async def main():
        below = Recorded()
        transport = LingeringTransport(below, asyncio.get_running_loop(), lambda: False)
        for data in writes:
            transport.write(data)
        assert below.written == sent
        await asyncio.sleep(0)
        assert below.written == sent

    asyncio.run(main())


@pytest.mark.parametrize("send", [lambda transport: transport.write(b""), lambda transport: transport.flush()])
def test_a_head_can_go_alone(send):
    """A stream's head goes out with an empty piece, a reply's without a body at its end; once."""

    async def main():
        below = Recorded()
        transport = LingeringTransport(below, asyncio.get_running_loop(), lambda: False)
        transport.write(HEAD)
        assert below.written == []
        send(transport)
        transport.flush()
        assert below.written == [HEAD]

    asyncio.run(main())


def test_an_interim_reply_goes_at_once():
    """Nothing follows a 100 until its client has heard it."""

    async def main():
        below = Recorded()
        transport = LingeringTransport(below, asyncio.get_running_loop(), lambda: False)
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert below.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]

    asyncio.run(main())


def test_closing_sends_what_was_held():
    """A reply without a body is not lost where the connection closes with it."""

    async def main():
        below = Recorded()
        transport = LingeringTransport(below, asyncio.get_running_loop(), lambda: False)
        transport.write(HEAD)
        transport.close()
        assert (below.written, below.closed) == ([HEAD], True)

    asyncio.run(main())
