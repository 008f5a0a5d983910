"""What one exit said of one row: probabilities, label, confidence, and commitment, stop, ood where a head writes them.

Numbers are float64 from the head's raw outputs; one code serves the live service and replay, so both agree exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from anytime.model_store import Manifest
from anytime.model_store.manifest import LOGITS, SCALAR_OUTPUTS
from anytime.policy.errors import HeadOutputInvalid

_SMALL = 64
"""Up to this many labels a plain loop beats NumPy's call overhead (10 labels: 1.3 us against 9 us)."""
_SCALARS = frozenset(SCALAR_OUTPUTS)
_GONE = -745.0
"""exp of anything below is 0."""


class Verdict:
    """One level's softmax(logits / T) (Guo et al. 2017): the top probability, its index, and the rest on demand."""

    __slots__ = ("_highest", "_logits", "_temperature", "_total", "index", "top")

    index: int
    """Of the top label; of equal ones the lowest."""
    top: float
    """Its probability, in 0..1."""

    def __init__(self, logits: np.ndarray, temperature: float = 1.0) -> None:
        """``logits``: (labels,), raw. Raises ``HeadOutputInvalid`` for NaN or an infinite top.

        On the way of every exit, between two graphs that leave nothing of the interpreter in the caches: hence plain loops.
        """
        self._temperature = temperature
        self._logits: list[float] | np.ndarray
        if logits.shape[0] <= _SMALL:
            self._logits = values = logits.tolist()
            self._highest: float = max(values)
            self.index = values.index(self._highest)
            terms = []
            for value in values:
                terms.append(math.exp((value - self._highest) / temperature))  # noqa: PERF401  # a call less
            self._total = math.fsum(terms)  # in any order, so that equal exits tie exactly
        else:
            self._logits = wide = logits.astype(np.float64)
            self.index = int(wide.argmax())
            self._highest = wide[self.index]
            self._total = float(np.exp(self._scaled(wide)).sum())
        if not self._total >= 1.0:  # NaN anywhere makes the sum NaN; the top itself contributes 1
            raise HeadOutputInvalid(
                "a head wrote NaN or an infinite logit; the network cannot be trusted on this input"
            )
        self.top = 1.0 / self._total

    def _scaled(self, logits: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            scaled: np.ndarray = (logits - self._highest) / self._temperature
        return scaled

    @property
    def probabilities(self) -> np.ndarray:
        """(labels,), float64, in 0..1."""
        p: np.ndarray = np.exp(self._scaled(np.asarray(self._logits, dtype=np.float64))) / self._total
        return p

    @property
    def certainty(self) -> float:
        """1 - entropy / ln(labels), clipped to 0..1: the normalised form of QuickNets' Eq. 3."""
        if isinstance(self._logits, list):
            values = [(value - self._highest) / self._temperature for value in self._logits]
            weighted = math.fsum([math.exp(scaled) * scaled for scaled in values if scaled > _GONE])
        else:
            scaled = self._scaled(self._logits)
            present = scaled[scaled > _GONE]
            weighted = float((np.exp(present) * present).sum())
        entropy = math.log(self._total) - weighted / self._total
        return min(1.0, max(0.0, 1.0 - entropy / math.log(len(self._logits))))


class Outcome:
    """What the head of ``exit`` (from 1) said of one row. Raises ``HeadOutputInvalid`` for NaN."""

    __slots__ = ("commitment", "exit", "ood", "outputs", "stop", "verdicts")

    def __init__(self, exit: int, outputs: Mapping[str, np.ndarray], verdicts: tuple[Verdict, ...]) -> None:
        self.exit = exit
        self.outputs = outputs
        """Head output name: raw values of the row, (labels,) or (1,)."""
        self.verdicts = verdicts
        """One per level, finest first."""
        self.commitment: float | None = None
        """Of the head's logit, as ``stop`` and ``ood``; None where the head does not write it."""
        self.stop: float | None = None
        self.ood: float | None = None
        if not _SCALARS.isdisjoint(outputs):
            self.commitment = _sigmoid("commitment", outputs)
            self.stop = _sigmoid("stop", outputs)
            self.ood = _sigmoid("ood", outputs)

    @property
    def confidence(self) -> float:
        return self.verdicts[0].top

    @property
    def index(self) -> int:
        return self.verdicts[0].index


class Reader:
    """Reads what the head of one exit writes: the names of its logits and their temperatures, looked up once."""

    __slots__ = ("_exit", "_levels", "_temperature", "is_short")

    is_short: bool
    """Whether ``top`` can tell: of one level of few labels."""

    def __init__(self, manifest: Manifest, exit: int) -> None:
        self._exit = exit
        self._levels = tuple(
            (name, manifest.temperature(exit, level)) for level, name in enumerate(manifest.logits_names)
        )
        self._temperature = self._levels[0][1]
        self.is_short = len(self._levels) == 1 and len(manifest.labels) <= _SMALL

    def top(self, logits: np.ndarray) -> float:
        """The top probability of (labels,) logits, as ``read`` finds it, and no more; infinite where ``read`` raises.

        The loop of ``Verdict``, written out again: here, between two graphs, each call less is a microsecond.
        """
        values, temperature, terms = logits.tolist(), self._temperature, []
        highest = max(values)
        for value in values:
            terms.append(math.exp((value - highest) / temperature))  # noqa: PERF401  # as there
        total = math.fsum(terms)
        return 1.0 / total if total >= 1.0 else math.inf

    def read(self, outputs: Mapping[str, np.ndarray]) -> Outcome:
        """The outcome of one row from its head's raw outputs, each (labels,) or (1,), with the calibrated temperatures.

        Raises ``HeadOutputInvalid`` for NaN or an infinite top.
        """
        verdicts: tuple[Verdict, ...] = ()
        for name, temperature in self._levels:
            verdicts += (Verdict(outputs[name], temperature),)
        return Outcome(self._exit, outputs, verdicts)


class Unread(NamedTuple):
    """What an exit said, of which nobody has wanted more yet than the top probability."""

    reader: Reader
    logits: np.ndarray

    def read(self) -> Outcome:
        return self.reader.read({LOGITS: self.logits})


def read_outcome(manifest: Manifest, exit: int, outputs: Mapping[str, np.ndarray]) -> Outcome:
    """``Reader.read``, once."""
    return Reader(manifest, exit).read(outputs)


def _sigmoid(name: str, outputs: Mapping[str, np.ndarray]) -> float | None:
    raw = outputs.get(name)
    if raw is None:
        return None
    value = float(raw[0])
    if math.isnan(value):
        raise HeadOutputInvalid(f"a head wrote NaN as {name}; do not trust it on this input")
    return 1.0 / (1.0 + math.exp(-value)) if value > -700.0 else 0.0
