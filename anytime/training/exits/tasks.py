"""The two phases of training exits on a frozen network, as the loop takes them: heads, then ensembles of what heads say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from anytime.training.exits.cached import CHUNK, Cached
from anytime.training.exits.fresh import FreshView
from anytime.training.methods.losses import ensembles_loss, heads_loss
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw
from anytime.training.models.backbone import evaluating

Method = Sdn | Ztw
View = Cached | FreshView
"""The training rows, as one epoch sees them."""
ENSEMBLE_VIEWS = 4
"""So many views at most are kept of what the trained heads say."""
_ORDER = 0
"""The stream of random numbers that orders an epoch's rows."""


class HeadsTask:
    """Every head at once, by the sum of their cross-entropies. Epoch e sees ``views[e % len(views)]``.

    Views are the same rows, augmented anew; ``held`` are others, on which the exits are reported.
    """

    name = "heads"

    def __init__(self, method: Method, views: Sequence[View], held: Cached, *, seed: int) -> None:
        self.module, self._views, self._held, self._seed = method, views, held, seed
        self.rows = len(views[0])

    def batches(self, epoch: int, size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """base (B, labels), target, then the features."""
        view = self._views[epoch % len(self._views)]
        for rows in shuffled(self.rows, size, seed=self._seed, epoch=epoch, start=start):
            yield view.tensors(rows)

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        base, target, *features = batch
        return heads_loss(self.module(features, base)[:-1], target)

    def evaluate(self) -> Mapping[str, float]:
        """The share of held rows that each exit gets right, ``held.accuracy.1`` ..; agreement where it imitates."""
        found, told = [], self._held.target
        device = next(self.module.parameters()).device
        for base, _, *features in self._held.in_order():
            logits = self.module([one.to(device) for one in features], base.to(device))
            found.append(torch.stack([one.argmax(dim=1) for one in logits], dim=1).cpu().numpy())
        return accuracies(np.concatenate(found), told)


class EnsemblesTask:
    """The ensembles on what the trained heads say, computed once, when it is first needed. Trains no head."""

    name = "ensembles"

    def __init__(self, ztw: Ztw, views: Sequence[View], held: Cached, *, seed: int) -> None:
        assert ztw.ensembles is not None, "a method without ensembles has no such phase"
        self.module, self._seed, self._ensembles = ztw, seed, ztw.ensembles
        self._exits = len(ztw.ensembles.omega)
        self._seen, self._held = views[:ENSEMBLE_VIEWS], held
        self.rows = len(views[0])

    @cached_property
    def _views(self) -> list[tuple[Tensor, Tensor]]:
        return [(self._log_p(view), torch.from_numpy(np.array(view.target))) for view in self._seen]

    @cached_property
    def _held_log_p(self) -> Tensor:
        return self._log_p(self._held)

    def batches(self, epoch: int, size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """log-probabilities (B, exits, labels), target"""
        log_p, target = self._views[epoch % len(self._views)]
        for rows in shuffled(self.rows, size, seed=self._seed, epoch=epoch, start=start):
            chosen = torch.from_numpy(rows)
            yield log_p[chosen], target[chosen]

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        log_p, target = batch
        with torch.autocast(log_p.device.type, enabled=False):
            return ensembles_loss(self._ensembles(log_p).unbind(dim=1), target)

    def evaluate(self) -> Mapping[str, float]:
        """As for heads, of the ensembles."""
        log_p, target = self._held_log_p, self._held.target
        device = self._ensembles.omega.device
        found = [self._ensembles(part.to(device)).argmax(dim=2).cpu() for part in log_p.split(CHUNK)]
        return accuracies(torch.cat(found).numpy(), target)

    def _log_p(self, view: View) -> Tensor:
        logits = exit_logits(self.module, view)[:, : self._exits]
        return torch.log_softmax(torch.from_numpy(logits), dim=2)


@torch.no_grad()
def exit_logits(method: Method, view: View, *, answers: bool = False) -> np.ndarray:
    """(N, M + 1, labels) float32: what each head says, and last the network; with ``answers`` what the exits serve."""
    device = next(method.parameters()).device
    say = method.answers if answers and isinstance(method, Ztw) else method
    found = []
    with evaluating(method):
        for base, _, *features in view.in_order():
            logits = say([one.to(device) for one in features], base.to(device))
            found.append(torch.stack(list(logits), dim=1).float().cpu().numpy())
    return np.concatenate(found)


def shuffled(rows: int, size: int, *, seed: int, epoch: int, start: int) -> Iterator[np.ndarray]:
    """The rows of each batch from number ``start`` on: a permutation by (seed, epoch), sorted within a batch."""
    order = np.random.default_rng((seed, epoch, _ORDER)).permutation(rows)
    for first in range(start * size, rows, size):
        yield np.sort(order[first : first + size])


def accuracies(found: np.ndarray, target: np.ndarray) -> Mapping[str, float]:
    """(N, exits) predicted -> the share right per exit; where the target is a distribution, the share that agrees."""
    is_distilled = target.ndim == 2
    told = target.argmax(axis=1) if is_distilled else target
    name = "held.agreement" if is_distilled else "held.accuracy"
    shares = (found == np.asarray(told)[:, np.newaxis]).mean(axis=0)
    return {f"{name}.{exit}": float(share) for exit, share in enumerate(shares, start=1)}
