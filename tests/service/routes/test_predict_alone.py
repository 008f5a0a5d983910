"""The predict application without a server around it: scripted messages in, messages out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anytime.service.engine.admission import Bounds
from anytime.service.engine.engine import Engine
from anytime.service.engine.messages import Work
from anytime.service.engine.program import Program
from anytime.service.engine.served import Served
from anytime.service.engine.ticket import Ticket
from anytime.service.errors import Internal, InvalidField, Loading, MalformedRequest, VersionNotFound
from anytime.service.http_protocol import GONE, Departure
from anytime.service.metrics import Metrics
from anytime.service.routes.predict import INLINE_BYTES, Predict
from anytime.service.settings import Settings
from tests.bundles.spelled import row, sure
from tests.service.shelves import Loads, catalogue_of, publish, store_at

ROWS = [row(sure(0), sure(1)).tolist()]
JSON = b"application/json"
LOADED, UNLOADED = "2", "1"
"""The version that an alias names, and the one that is loaded when it is asked for."""


class Client:
    """One request; after its body the connection stays, or breaks with ``fault``."""

    def __init__(self, body: bytes, fault: Exception | None = None) -> None:
        self.body = body
        self.fault = fault
        self.heard: list[Any] = []
        self._has_sent = False

    async def receive(self) -> dict[str, Any]:
        if not self._has_sent:
            self._has_sent = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        if self.fault is not None:
            raise self.fault
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Any) -> None:
        self.heard.append(message)

    async def ask(self, predict: Predict, version: str = LOADED, kind: bytes = JSON, query: bytes = b"") -> int:
        """The status of the reply. Raises the refusal."""
        scope = {"type": "http", "headers": [(b"content-type", kind)], "query_string": query,
                 "path_params": {"model": "spelled", "version": version}}  # fmt: skip
        await predict(scope, self.receive, self.send)
        status: int = self.heard[0]["status"]
        return status


class Readers(ThreadPoolExecutor):
    """Threads that remember what they were given to do."""

    def __init__(self) -> None:
        super().__init__(1)
        self.done: list[str] = []

    def submit(self, task: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        self.done.append(task.__name__)
        return super().submit(task, *args, **more)


class MuteEngine(Engine):
    """Ends every request's rows at once and says nothing."""

    def submit(self, served: Served, program: Program, work: Work, dims: Any) -> Ticket:
        ticket = super().submit(served, program, work, dims)
        self.cancel(ticket)
        return ticket


@contextlib.asynccontextmanager
async def alone(
    folder: Path, loads: Loads, readers: Readers, make: type[Engine] = Engine, **settings: Any
) -> AsyncIterator[Predict]:
    """The application over a store of two versions, of which only the second is loaded."""
    store = store_at(folder)
    publish(store)
    publish(store)
    engine = make(1, Bounds(100, 2**30), Metrics())
    engine.start()
    try:
        async with catalogue_of(store, loads) as catalogue:
            yield Predict(engine, catalogue, Settings(**settings), readers)
    finally:
        loads.release()
        readers.shutdown()
        engine.close()


def body(**policy: Any) -> bytes:
    return json.dumps({"inputs": ROWS, "policy": policy}).encode()


def padded(data: bytes) -> bytes:
    return data + b" " * INLINE_BYTES


def test_a_default_deadline_bounds_the_wait_for_a_load(tmp_path: Path) -> None:
    """The service's own deadline counts where the request gives none; the request's outranks it, and null removes it."""

    async def main() -> None:
        loads, readers = Loads(), Readers()
        async with alone(tmp_path, loads, readers, default_policy={"deadline_ms": 0.01}) as predict:
            loads.hold()
            for data in (body(), padded(body()), body(confidence=0.5)):
                with pytest.raises(Loading):
                    await Client(data).ask(predict, UNLOADED)
            patient = [Client(body(deadline_ms=60_000)), Client(padded(body(deadline_ms=None)))]
            waiting = [asyncio.create_task(client.ask(predict, UNLOADED)) for client in patient]
            await loads.began()
            loads.release()
            assert await asyncio.gather(*waiting) == [200, 200]

    asyncio.run(main())


def test_what_is_large_is_read_elsewhere(tmp_path: Path) -> None:
    """A large body is searched for its deadline and read on the threads given for that; a small one stays here."""

    async def main() -> None:
        loads, readers = Loads(), Readers()
        async with alone(tmp_path, loads, readers) as predict:
            assert await Client(body()).ask(predict) == 200
            assert await Client(np.float32(ROWS).tobytes()).ask(predict, kind=b"application/octet-stream") == 200
            assert readers.done == []
            assert await Client(padded(body())).ask(predict) == 200
            assert readers.done == ["read_prediction"]
            assert await Client(padded(body())).ask(predict, UNLOADED) == 200
            assert readers.done[1:] == ["asked_deadline_ms", "read_prediction"]

    asyncio.run(main())


def test_a_watch_that_fails_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the client cannot be watched, the request is answered all the same, and the log has why."""

    async def main() -> None:
        async with alone(tmp_path, Loads(), Readers()) as predict:
            assert await Client(body(), fault=OSError("the wire is cut")).ask(predict) == 200

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    (record,) = [record for record in caplog.records if "could not be watched" in record.message]
    assert record.exc_info
    assert str(record.exc_info[1]) == "the wire is cut"


def test_a_stream_ends_with_its_last_events(tmp_path: Path) -> None:
    """``done`` goes out with the row's last event, and nothing after it."""

    async def main() -> None:
        async with alone(tmp_path, Loads(), Readers()) as predict:
            client = Client(body())
            assert await client.ask(predict, query=b"stream=true") == 200
            *others, last = client.heard[1:]
            assert [name in last["body"] for name in (b"event: final", b"event: done")] == [True, True]
            assert not last.get("more_body", False)
            assert all(message["more_body"] and b"event: final" not in message["body"] for message in others)

    asyncio.run(main())


@pytest.mark.parametrize("fault", [None, OSError("the wire is cut")], ids=["watched", "not watched"])
def test_a_reply_is_never_nothing(fault: Exception | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no row says how it ended and no client is known to have left, that is our fault and is told as such."""

    async def main() -> None:
        async with alone(tmp_path, Loads(), Readers(), MuteEngine) as predict:
            client = Client(body(), fault)
            with pytest.raises(Internal, match="no row was answered"):
                await client.ask(predict)
            assert client.heard == []

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert "none of its rows had an end" in caplog.text


def test_who_left_before_the_engine_was_asked(tmp_path: Path) -> None:
    """A connection that was lost while the request was read costs no graph and gets no reply."""

    async def main() -> None:
        async with alone(tmp_path, Loads(), Readers()) as predict:
            departure = Departure()
            departure.comes()
            client = Client(body())
            scope = {"type": "http", "headers": [(b"content-type", JSON)], "query_string": b"", "state": {GONE: departure},
                     "path_params": {"model": "spelled", "version": LOADED}}  # fmt: skip
            await predict(scope, client.receive, client.send)
            assert client.heard == []

    asyncio.run(main())


def test_a_bad_query_is_not_worth_a_load(tmp_path: Path) -> None:
    """A query that no model could follow is refused before a load; that there is no such version comes first."""

    async def main() -> None:
        loads, readers = Loads(), Readers()
        async with alone(tmp_path, loads, readers) as predict:
            made = len(loads.made)
            with pytest.raises(InvalidField, match="no query parameter"):
                await Client(body()).ask(predict, UNLOADED, query=b"deadline_ms=50&foo=1")
            with pytest.raises(MalformedRequest):
                await Client(body()).ask(predict, UNLOADED, query=b"a=%ff")
            with pytest.raises(VersionNotFound):
                await Client(body()).ask(predict, "99", query=b"a=%ff")
            assert len(loads.made) == made

    asyncio.run(main())


def test_a_head_goes_with_what_comes_at_once(tmp_path: Path) -> None:
    """Where a worker is idle and the first exit quick, a stream has no piece for its head alone: seen once in many asks, for
    a busy machine may take longer than a head waits.
    """

    async def main() -> None:
        async with alone(tmp_path, Loads(), Readers()) as predict:
            for _ in range(500):
                client = Client(body())
                assert await client.ask(predict, query=b"stream=true") == 200
                if client.heard[1]["body"].startswith(b"id: 1\n"):
                    return
        pytest.fail("every head went alone")

    asyncio.run(main())
