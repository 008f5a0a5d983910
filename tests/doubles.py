"""Test doubles, named after what they replace: small, scripted, slow where that makes them obvious."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnxruntime
import uvicorn

from anytime.model_store import Bundle
from anytime.model_store.manifest import Graph
from anytime.service.engine.program import Call
from anytime.service.engine.runner import Runner


def run_stages(bundle: Bundle, inputs: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The engine, slow and obvious: every graph of every stage in the bundle's order, one row at a time.

    ``inputs``: name -> (rows, ...). Returns per exit each head output by name, raw, (rows, columns).
    """
    sessions = open_sessions(bundle)
    rows = len(next(iter(inputs.values())))
    each = [run_batch(bundle, {n: v[r : r + 1] for n, v in inputs.items()}, sessions) for r in range(rows)]
    return [
        {name: np.concatenate([row[exit][name] for row in each]) for name in each[0][exit]}
        for exit in range(bundle.manifest.exits)
    ]


def run_batch(
    bundle: Bundle, inputs: Mapping[str, np.ndarray], sessions: Mapping[str, onnxruntime.InferenceSession] | None = None
) -> list[dict[str, np.ndarray]]:
    """The same with all rows in each run. A name holds its latest write: in the bundle's order the right one."""
    sessions = sessions or open_sessions(bundle)
    rows, *_ = next(iter(inputs.values())).shape
    sizes = {
        axis: size
        for entry in bundle.manifest.inputs
        for axis, size in zip(entry.shape, inputs[entry.name].shape, strict=True)
        if isinstance(axis, str)
    }
    state = dict(inputs)
    for entry in bundle.manifest.state:
        if entry.start is not None:
            state[entry.name] = np.stack([bundle.start(entry.name, sizes)] * rows)
    exits = []
    for stage in bundle.manifest.stages:
        if stage.body is not None:
            state |= run_graph(sessions, stage.body, state)
        said = run_graph(sessions, stage.head, state)
        exits.append({name: said[name] for name in bundle.manifest.head_outputs & said.keys()})
        state |= said
    return exits


def run_graph(
    sessions: Mapping[str, onnxruntime.InferenceSession], graph: Graph, state: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """One graph on the state as it stands; what it wrote, by the names that the manifest gives."""
    feed = {tensor: state[name] for tensor, name in graph.reads.items()}
    said = sessions[graph.file].run(list(graph.writes), feed)
    return dict(zip(graph.writes.values(), said, strict=True))


def open_sessions(bundle: Bundle) -> dict[str, onnxruntime.InferenceSession]:
    """One session per file of the bundle's stages."""
    stages = bundle.manifest.stages
    files = {graph.file for stage in stages for graph in (stage.body, stage.head) if graph is not None}
    return {file: onnxruntime.InferenceSession(bundle.path(file), _options()) for file in sorted(files)}


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


@dataclass
class ScriptedServer:
    """A real HTTP server on the loopback that answers every request alike and remembers what it was asked."""

    status: int = 200
    content_type: str = "application/json"
    pieces: Sequence[bytes] = ()
    """The body, a piece at a time."""
    url: str = ""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """(path and query, headers, body) of each request."""

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        query = scope["query_string"].decode()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["path"] + (f"?{query}" if query else ""), headers, body))
        kind = [(b"content-type", self.content_type.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": kind})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    @contextlib.contextmanager
    def serving(self) -> Iterator[ScriptedServer]:
        """Serves from a thread until it is left."""
        server = uvicorn.Server(uvicorn.Config(self, port=0, lifespan="off", log_config=None, log_level="critical"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            yield self
        finally:
            server.should_exit = True
            thread.join()


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward, so that a timer fires without anybody waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped = 0.0

    def time(self) -> float:
        return super().time() + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += seconds


class Hold:
    """A graph made slow: its runs stop at their start until they are released."""

    def __init__(self, after: int = 0) -> None:
        """``after``: how many runs pass before the first that stops."""
        self._reached = threading.Event()
        self._released = threading.Event()
        self._passing = after

    def pause(self) -> None:
        """Called by the run."""
        if self._passing:
            self._passing -= 1
            return
        self._reached.set()
        assert self._released.wait(60.0), "a test holds a graph and forgot to release it"

    async def reached(self) -> None:
        """Once a run has stopped."""
        assert await asyncio.to_thread(self._reached.wait, 60.0), "no run of the held graph began"

    def release(self) -> None:
        self._released.set()


class ScriptedRunner(Runner):
    """The real sessions, with scripted times: a run takes what ``ms`` says, however long it took.

    ``ms``: milliseconds a run of a file, where not given 1; ``row_ms``: more for each row. With none more, batches pay.
    """

    def __init__(
        self, bundle: Bundle, intra_op_threads: int = 1, *, ms: Mapping[str, float] | None = None, row_ms: float = 0.0
    ) -> None:
        super().__init__(bundle, intra_op_threads)
        self.ms = dict(ms or {})
        self.row_ms = row_ms
        self.ran: list[tuple[str, int]] = []
        """(file, rows) of every run, in the order in which they began."""
        self._holds: dict[str, Hold] = {}

    def hold(self, file: str, after: int = 0) -> Hold:
        """From now on, ``after`` runs later, a run of ``file`` stops at its start."""
        self._holds[file] = hold = Hold(after)
        return hold

    def prepare(self, file: str, fetches: Sequence[str]) -> Call:
        real = super().prepare(file, fetches)

        def call(feeds: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], float]:
            rows = len(next(iter(feeds.values())))
            self.ran.append((file, rows))
            if file in self._holds:
                self._holds[file].pause()
            outputs, _ = real(feeds)
            return outputs, (self.ms.get(file, 1.0) + self.row_ms * rows) / 1e3

        return call
