"""The least that HTTP can cost here: a raw ASGI application around a bare loop over the stages, on two threads.

It reads the body, runs every graph that full depth needs and says the label: no policy, no metrics, no errors, no limits.
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
import uvicorn

from anytime.service.allocator import keep_freed_memory
from benchmarks.nets import SIDE
from benchmarks.staging import session

Message = dict[str, Any]


class BareLoop:
    """Full depth of a bundle of ``benchmarks.nets``: its bodies in order, and the last head."""

    def __init__(self, folder: Path, stages: int) -> None:
        self._bodies = [session(str(folder / f"body{stage}.onnx")) for stage in range(1, stages + 1)]
        self._head = session(str(folder / f"head{stages}.onnx"))

    def __call__(self, pixels: bytes) -> int:
        """The label of one row of raw float32."""
        state = np.frombuffer(pixels, np.float32).reshape(1, 3, SIDE, SIDE)
        for body in self._bodies:
            state = body.run(["y"], {"x": state})[0]
        return int(self._head.run(["logits"], {"y": state})[0].argmax())


def application(run: BareLoop) -> Callable[..., Awaitable[None]]:
    """The ASGI application."""
    threads = ThreadPoolExecutor(2)

    async def answer(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        pixels, more = b"", True
        while more:
            message = await receive()
            pixels += message.get("body", b"")
            more = message.get("more_body", False)
        index = await asyncio.get_running_loop().run_in_executor(threads, run, pixels)
        body = json.dumps({"index": index}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def main() -> None:
    folder, stages, port = sys.argv[1:]
    keep_freed_memory()
    uvicorn.run(
        application(BareLoop(Path(folder), int(stages))),
        port=int(port), log_level="warning", access_log=False, loop="uvloop", http="httptools", lifespan="off",
    )  # fmt: skip


if __name__ == "__main__":
    main()
