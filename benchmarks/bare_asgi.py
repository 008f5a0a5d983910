"""The least that HTTP can cost here: a raw ASGI application around a bare loop over the stages, on two threads.

It reads the body, runs every graph that full depth needs and says the label: no policy, no metrics, no errors, no limits.
With ``?stream`` it runs every head and says each exit's label as it comes, as a server-sent event.
``python -m benchmarks.bare_asgi BUNDLE STAGES PORT``
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import uvicorn

from anytime.model_store.blocked import runnable
from anytime.service.allocator import keep_freed_memory
from benchmarks.nets import SIDE
from benchmarks.staging import session

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class BareLoop:
    """A bundle of ``benchmarks.nets``: its bodies in order, and the last head or all of them."""

    def __init__(self, folder: Path, stages: int) -> None:
        self._bodies = [_session(folder / f"body{stage}.onnx") for stage in range(1, stages + 1)]
        self._heads = [_session(folder / f"head{stage}.onnx") for stage in range(1, stages + 1)]

    def full(self, pixels: bytes) -> int:
        """The label of one row of raw float32, at full depth."""
        state = _tensor(pixels)
        for body in self._bodies:
            state = body.run(["y"], {"x": state})[0]
        return int(self._heads[-1].run(["logits"], {"y": state})[0].argmax())

    def each(self, pixels: bytes, tell: Callable[[int], object]) -> None:
        """Tells the label of every exit as it comes."""
        state = _tensor(pixels)
        for body, head in zip(self._bodies, self._heads, strict=True):
            state = body.run(["y"], {"x": state})[0]
            tell(int(head.run(["logits"], {"y": state})[0].argmax()))


def _session(file: Path) -> ort.InferenceSession:
    return session(runnable(file))


def _tensor(pixels: bytes) -> np.ndarray:
    return np.frombuffer(pixels, np.float32).reshape(1, 3, SIDE, SIDE)


def application(run: BareLoop, stages: int) -> Callable[..., Awaitable[None]]:
    """The ASGI application."""
    threads = ThreadPoolExecutor(2)

    async def answer(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        pixels, more = b"", True
        while more:
            message = await receive()
            pixels += message.get("body", b"")
            more = message.get("more_body", False)
        await (stream if scope["query_string"] else reply)(pixels, send)

    async def reply(pixels: bytes, send: Send) -> None:
        index = await asyncio.get_running_loop().run_in_executor(threads, run.full, pixels)
        body = json.dumps({"index": index}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def stream(pixels: bytes, send: Send) -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Queue[int]()
        threads.submit(run.each, pixels, lambda index: loop.call_soon_threadsafe(told.put_nowait, index))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for exit in range(1, stages + 1):
            data = json.dumps({"exit": exit, "index": await told.get()}).encode()
            event = b"event: prediction\ndata: %b\n\n" % data
            await send({"type": "http.response.body", "body": event, "more_body": exit < stages})

    return answer


def main() -> None:
    folder, stages, port = sys.argv[1:]
    keep_freed_memory()
    uvicorn.run(
        application(BareLoop(Path(folder), int(stages)), int(stages)),
        port=int(port), log_level="warning", access_log=False, loop="uvloop", http="httptools", lifespan="off",
    )  # fmt: skip


if __name__ == "__main__":
    main()
