"""What staging costs: nine stages with heads through the engine, against the same network whole, and against bare loops.

One thread everywhere. The engine is asked in process, without HTTP: its figures hold the hop to a worker thread and back.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from anytime.model_store.blocked import runnable
from anytime.policy import Policy
from anytime.service.allocator import keep_freed_memory
from anytime.service.engine.admission import Bounds
from anytime.service.engine.engine import Engine
from anytime.service.engine.messages import Work
from anytime.service.engine.served import Served
from anytime.service.metrics import Metrics
from benchmarks.measure import interleaved, ratio, write_result
from benchmarks.nets import NETS, Layout, Net, image

ROUNDS, SECONDS = 100, 0.05
LAYOUTS: tuple[Layout, ...] = ("split", "joined")
NEVER_SURE = Policy(confidence=0.999999)
"""A rule that can fire at every exit and does at none: every head runs and is read."""


def main() -> None:
    keep_freed_memory()
    rows = [_measure(name, NETS[name], layout) for name in ("1 ms", "3 ms", "10 ms") for layout in LAYOUTS]
    write_result(
        "staging",
        ["network", "a stage is", "bare: whole, ms", "bare: stages, ms", "engine: whole, ms", "engine: stages, ms",
         "bare: stages / whole", "engine: stages / bare: whole", "engine: stages - bare: stages, us a boundary",
         "engine: stages / whole", "the same less the way to a worker, us a boundary",
         "the least: bare stages, top probabilities read / bare: whole", "us a boundary",
         "bare: stages without early blocks / whole"],
        rows,
        "9 exits, every head read by a confidence rule, one thread, batch 1; medians over interleaved rounds. Whole: one "
        "session, in the engine a bundle of one stage. What bare loops over the stages take more is ONNX Runtime's: a call "
        "per graph, and laying out anew what passes between sessions; the engine adds reading "
        "heads, deciding, dropping state and counting, and once a request the way to a worker thread and back; two columns "
        "leave that way out, by comparing with the whole network in the same engine. The least is what any engine in Python "
        "adds: the bare loop that looks at the clock and reads each head's top probability, and does nothing else. Without "
        "early blocks: the bare loop over the files as they are, maps not laid out at once for ONNX Runtime; 3 ms has 24 "
        "channels, and its maps are never laid out so",
    )  # fmt: skip


def _measure(name: str, net: Net, layout: Layout) -> list[str | float]:
    with tempfile.TemporaryDirectory() as folder:
        staged = Served(net.bundle(Path(folder) / "staged", layout), Policy())
        whole = Served(net.bundle(Path(folder) / "whole", "whole"), Policy())
        bare = session(net.whole().SerializeToString())
        loop = asyncio.new_event_loop()
        engine = Engine(1, Bounds(1024, 1 << 30), Metrics())
        loop.run_until_complete(_start(engine))
        x = image()
        figures = interleaved(
            {
                "whole": lambda: bare.run(None, {"image": x}),
                "plain": bare_loop(staged, x, plain=True),
                "loop": bare_loop(staged, x),
                "reading": bare_loop(staged, x, 0.999999),
                "one": lambda: loop.run_until_complete(_ask(engine, whole, Policy(), x)),
                "engine": lambda: loop.run_until_complete(_ask(engine, staged, NEVER_SURE, x)),
            },
            ROUNDS,
            SECONDS,
        )
        engine.close()
        loop.close()
    return [name, "a body and a head" if layout == "split" else "one graph", *_row(figures, net.stages)]


def _row(figures: Mapping[str, Sequence[float]], stages: int) -> list[float]:
    own = [
        ((engine - one) - (loop - whole)) / stages
        for engine, one, loop, whole in zip(
            *(figures[kind] for kind in ("engine", "one", "loop", "whole")), strict=True
        )
    ]
    against_bare, least = (
        [(more - bare) / stages for more, bare in zip(figures[kind], figures["loop"], strict=True)]
        for kind in ("engine", "reading")
    )
    return [
        *(round(statistics.median(figures[kind]) * 1e3, 3) for kind in ("whole", "loop", "one", "engine")),
        round(ratio(figures["loop"], figures["whole"]), 3),
        round(ratio(figures["engine"], figures["whole"]), 3),
        round(statistics.median(against_bare) * 1e6, 1),
        round(ratio(figures["engine"], figures["one"]), 3),
        round(statistics.median(own) * 1e6, 1),
        round(ratio(figures["reading"], figures["whole"]), 3),
        round(statistics.median(least) * 1e6, 1),
        round(ratio(figures["plain"], figures["whole"]), 3),
    ]


async def _start(engine: Engine) -> None:
    engine.start()


async def _ask(engine: Engine, served: Served, policy: Policy, x: np.ndarray) -> None:
    program = served.program(policy)
    ticket = engine.submit(served, program, Work({"image": x}, 1, time.perf_counter()), {})
    await ticket.events()
    engine.finish(ticket)


def bare_loop(
    served: Served, x: np.ndarray, confidence: float | None = None, *, plain: bool = False
) -> Callable[[], None]:
    """Every graph of a bundle in order, as a script would run them: no engine, no policy, no outcome.

    With ``confidence`` each exit is timed and its top probability read, by the fewest calls that give it. The sessions are
    the engine's; ``plain``: those of the files as they are.
    """
    model = (lambda path: path) if plain else runnable
    graphs = [
        (session(model(served.bundle.path(node.graph.file))), next(iter(node.graph.reads)), list(node.graph.writes))
        for node in served.flow.nodes
    ]
    end = float("inf")

    def run() -> None:
        state = x
        for graph, reads, writes in graphs:
            outputs = graph.run(writes, {reads: state})
            state = outputs[0] if "y" in writes else state
            if confidence is not None and "logits" in writes:
                now = time.perf_counter()
                said = outputs[-1][0].tolist()
                highest = max(said)
                top = 1 / math.fsum([math.exp(logit - highest) for logit in said])
                if top >= confidence or now > end:
                    break

    return run


def session(model: Path | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
