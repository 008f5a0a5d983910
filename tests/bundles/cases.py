"""What each stress bundle answers under which policy, written down by hand: exits, reasons, and the graphs that ran.

The eight rows are ``module.inputs(8)``. Replay and the live service are held to the same table; the numbers that follow
(label, confidence, cost) come from a bundle's reference and its hand-counted multiply-adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from tests.bundles import cascade, eann, quantised, sequence, slices, ztw
from tests.bundles.arithmetic import softmax

ROWS = 8


@dataclass(frozen=True)
class Case:
    """One policy on one bundle. A tuple has an entry per row; a single value holds for all."""

    name: str
    module: ModuleType
    policy: Mapping[str, Any]
    exits: tuple[int, ...] | int
    reasons: tuple[str, ...] | str
    ran: Mapping[int, str] | str
    """By the exit that answered, or for all: the graphs that ran, such as ``b1 b2 h2``."""
    levels: tuple[int, ...] | int = field(default=0)


@dataclass(frozen=True)
class Expected:
    """One row's answer."""

    exit: int
    depth: int
    reason: str
    level: int
    index: int
    confidence: float
    cost: float


FULL = {
    ztw: "b1 b2 b3 b4 b5 h5",
    cascade: "b1 b2 b3 b4 b5 b6 h6",
    slices: "b1 b2 b3 h3",
    eann: "b5 h5",
    sequence: "b2 b3 h3",
    quantised: "b1 b2 b3 h3",
}
"""What the last head needs: the denominator of a cost."""

ZTW = {1: "b1 h1", 2: "b1 h1 b2 h2", 3: "b1 h1 b2 h2 b3 h3", 4: "b1 h1 b2 h2 b3 h3 b4 h4"}
ALL = {ztw: f"{ZTW[4]} b5 h5", quantised: "b1 h1 b2 h2 b3 h3", eann: "b1 h1 b2 h2 b3 h3 b4 h4 b5 h5"}
NO_RULE = {"confidence": None, "min_exit": None}
"""Takes back what the quantised bundle's default policy says."""
CONFIDENT, FULL_DEPTH = "confidence", "full_depth"

CASES = [
    Case("no rule: no other head runs", ztw, {}, 5, FULL_DEPTH, FULL[ztw]),
    Case("confidence", ztw, {"confidence": 0.7}, (2, 5, 5, 3, 3, 3, 5, 5),
         (CONFIDENT, CONFIDENT, FULL_DEPTH, *[CONFIDENT] * 3, FULL_DEPTH, FULL_DEPTH), ZTW | {5: ALL[ztw]}),
    Case("a threshold of 1 is no rule", ztw, {"confidence": 1.0}, 5, FULL_DEPTH, FULL[ztw]),
    Case("one threshold: head 4 runs for nobody", ztw, {"confidence": [None, None, 0.7, None, None]},
         (3, 5, 5, 3, 3, 3, 5, 5), (CONFIDENT, FULL_DEPTH, FULL_DEPTH, *[CONFIDENT] * 3, FULL_DEPTH, FULL_DEPTH),
         ZTW | {5: f"{ZTW[3]} b4 b5 h5"}),
    Case("max_exit: earlier heads run, they are read", ztw, {"max_exit": 3}, 3, "max_exit", ZTW),
    Case("patience 1", ztw, {"patience": 1}, (3, 2, 3, 3, 3, 3, 3, 2), "patience", ZTW),
    Case("patience 2", ztw, {"patience": 2}, (4, 3, 5, 5, 4, 4, 4, 5),
         ("patience", "patience", FULL_DEPTH, FULL_DEPTH, *["patience"] * 3, FULL_DEPTH), ZTW | {5: ALL[ztw]}),
    Case("all rules at one exit", ztw, {"confidence": 0.7, "patience": 1, "combine": "all"}, (3, 5, 5, 3, 3, 3, 5, 5),
         (CONFIDENT, CONFIDENT, FULL_DEPTH, *[CONFIDENT] * 3, FULL_DEPTH, FULL_DEPTH), ZTW | {5: ALL[ztw]}),
    *(Case(f"max_exit {k}", cascade, {"max_exit": k}, k, "max_exit" if k < 6 else FULL_DEPTH,
           " ".join([*(f"b{i}" for i in range(1, k + 1)), f"h{k}"])) for k in range(1, 7)),
    Case("max_exit and confidence", cascade, {"max_exit": 4, "confidence": 0.6}, (2, 2, 2, 2, 2, 1, 1, 1),
         CONFIDENT, {1: "b1 h1", 2: "b1 h1 b2 h2"}),
    Case("min_exit withholds the stop", cascade, {"confidence": 0.6, "min_exit": 5}, (6, 6, 6, 6, 6, 5, 5, 5),
         (CONFIDENT, CONFIDENT, FULL_DEPTH, *[CONFIDENT] * 5),
         {5: "b1 b2 b3 b4 b5 h5", 6: "b1 b2 b3 b4 b5 h5 b6 h6"}),
    Case("max_cost for one slice", slices, {"max_cost": 0.3}, 1, "budget", "b1 h1"),
    Case("max_cost for two slices: head 1 is not read", slices, {"max_cost": 0.7}, 2, "budget", "b1 b2 h2"),
    Case("max_macs to the last one", slices, {"max_macs": 16680}, 2, "budget", "b1 b2 h2"),
    Case("max_cost for all", slices, {"max_cost": 1.0}, 3, FULL_DEPTH, FULL[slices]),
    Case("max_cost and confidence", slices, {"max_cost": 0.7, "confidence": 0.7}, 2,
         ("budget", CONFIDENT, *["budget"] * 3, CONFIDENT, "budget", "budget"), "b1 h1 b2 h2"),
    Case("a rule's head eats the budget", slices, {"max_macs": 16680, "confidence": 0.7}, 1, "budget", "b1 h1"),
    Case("best validated: passive exits do not run", eann, {}, 4, FULL_DEPTH, "b1 h1 b3 b4 h4"),
    Case("max_exit at a passive exit", eann, {"max_exit": 3}, 2, "max_exit", "b1 b2 h2"),
    Case("a late head reads the old hidden", eann, {"confidence": [None, 0.5, None, None, None]},
         (4, 4, 2, 4, 4, 2, 4, 4), (FULL_DEPTH, FULL_DEPTH, CONFIDENT, FULL_DEPTH, FULL_DEPTH, CONFIDENT, *[FULL_DEPTH] * 2),
         {2: "b1 b2 h2", 4: "b1 h1 b2 h2 b3 b4 h4"}),
    Case("patience skips passive exits", eann, {"patience": 1}, (2, 2, 4, 2, 4, 4, 4, 2),
         ("patience", "patience", FULL_DEPTH, "patience", "patience", FULL_DEPTH, FULL_DEPTH, "patience"),
         {2: "b1 h1 b2 h2", 4: "b1 h1 b2 h2 b3 b4 h4"}),
    Case("no rule", sequence, {}, 3, FULL_DEPTH, FULL[sequence]),
    Case("the first exit is free", sequence, {"max_exit": 1}, 1, "max_exit", "h1"),
    Case("a budget of nearly nothing", sequence, {"max_cost": 1e-9}, 1, "budget", "h1"),
    Case("confidence", sequence, {"confidence": 0.68}, (3, 3, 3, 1, 1, 1, 3, 1),
         (*[FULL_DEPTH] * 3, *[CONFIDENT] * 3, FULL_DEPTH, CONFIDENT), {1: "h1", 3: "h1 b2 h2 b3 h3"}),
    Case("the default policy", quantised, {}, 3,
         (*[FULL_DEPTH] * 3, CONFIDENT, CONFIDENT, FULL_DEPTH, FULL_DEPTH, CONFIDENT), "b1 b2 h2 b3 h3"),
    Case("most confident of the coarse level", quantised, NO_RULE | {"level": "coarse"}, (1, 1, 2, 2, 2, 1, 1, 2),
         FULL_DEPTH, ALL[quantised], 1),
    Case("confidence of the coarse level", quantised, NO_RULE | {"level": "coarse", "confidence": 0.9},
         (1, 1, 2, 1, 1, 1, 1, 1), CONFIDENT, {1: "b1 h1", 2: "b1 h1 b2 h2"}, 1),
    Case("auto: the finest level that passes", quantised, NO_RULE | {"level": "auto", "confidence": 0.6}, 1, CONFIDENT,
         "b1 h1", (1, 1, 1, 0, 0, 1, 0, 0)),
    Case("commitment alone", quantised, NO_RULE | {"commitment": 0.5}, (1, 1, 3, 3, 3, 1, 1, 3), "commitment",
         {1: "b1 h1", 3: ALL[quantised]}),
    Case("learned: exit 3 has no stop head", quantised, NO_RULE | {"learned": 0.65}, (1, 1, 3, 2, 2, 1, 1, 2),
         ("learned", "learned", FULL_DEPTH, *["learned"] * 5),
         {1: "b1 h1", 2: "b1 h1 b2 h2", 3: ALL[quantised]}),
    Case("entropy under commitment", quantised, NO_RULE | {"entropy": 0.3, "commitment": 0.5}, (1, 3, 3, 3, 3, 3, 1, 3),
         ("entropy", FULL_DEPTH, *["entropy"] * 3, FULL_DEPTH, "entropy", "entropy"), {1: "b1 h1", 3: ALL[quantised]}),
    Case("a target", quantised, {"target": "accuracy-1", "min_exit": None}, (1, 3, 3, 1, 1, 3, 1, 1),
         (CONFIDENT, FULL_DEPTH, FULL_DEPTH, CONFIDENT, CONFIDENT, FULL_DEPTH, CONFIDENT, CONFIDENT),
         {1: "b1 h1", 3: ALL[quantised]}),
]  # fmt: skip


def expected(case: Case, inputs: Mapping[str, np.ndarray] | None = None) -> list[Expected]:
    """The answer of each row, its numbers from the reference and the hand count."""
    outputs = case.module.reference(case.module.inputs(ROWS) if inputs is None else inputs)
    rows = len(outputs[0]["logits"])
    return [_expected(case, outputs, row) for row in range(rows)]


def probabilities(module: ModuleType, outputs: list[dict[str, np.ndarray]], exit: int, level: int = 0) -> np.ndarray:
    """softmax(logits / T) of every row at one exit (from 1) and level."""
    table = getattr(module, "TEMPERATURE", None)
    temperature = 1.0 if table is None else np.atleast_1d(table[exit - 1])[level]
    return softmax(outputs[exit - 1][("logits", "logits.coarse")[level]] / temperature)


def cost(module: ModuleType, ran: str) -> float:
    """The multiply-adds of some graphs as a share of full depth's."""
    return macs(module, ran) / macs(module, FULL[module])


def macs(module: ModuleType, ran: str) -> int:
    parts = {"b": "body", "h": "head"}
    return sum(module.MACS[int(name[1:]), parts[name[0]]] for name in ran.split())


def _expected(case: Case, outputs: list[dict[str, np.ndarray]], row: int) -> Expected:
    exit, reason, level = (_of(value, row) for value in (case.exits, case.reasons, case.levels))
    ran = case.ran if isinstance(case.ran, str) else case.ran[exit]
    depth = max(int(name[1:]) for name in ran.split() if name[0] == "h")
    p = probabilities(case.module, outputs, exit, level)[row]
    return Expected(exit, depth, reason, level, int(p.argmax()), float(p.max()), cost(case.module, ran))


def _of(value: Any, row: int) -> Any:
    return value[row] if isinstance(value, tuple) else value
