"""Training heads on features that are computed once, against the plain loop that runs the frozen network for every batch.

The same heads on the same rows in the same order; only where the features come from differs. One thread, so that nothing
else on the machine is waited for.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anytime.training.attach import choose_cuts, cut, features, find_cuts, read_network, rows_of
from anytime.training.exits import Cached, HeadsTask
from anytime.training.exits.tasks import shuffled
from anytime.training.export_backbone import INPUT, export_backbone, place_name
from anytime.training.loop import choose_device, one_thread, train
from anytime.training.methods.losses import heads_loss
from anytime.training.methods.schedules import Schedule
from anytime.training.methods.ztw import Ztw
from anytime.training.models.frozen import Frozen
from anytime.training.models.heads import HeadKind
from anytime.training.models.places import every_place
from anytime.training.models.registry import make_backbone
from benchmarks.measure import write_result

NETWORKS = {"resnet-8": (3, 32, 32), "resnet-32": (3, 16, 16), "resnet-56": (3, 16, 16)}
ROWS, LABELS = 1024, 10
PLAIN_EPOCHS, PAPER_EPOCHS = 2, 50


class PlainTask:
    """As ``HeadsTask``, with the backbone in the loop: what one would write first."""

    name = "heads"
    rows = ROWS

    def __init__(self, ztw: Ztw, frozen: Frozen, x: Tensor, target: Tensor) -> None:
        self.module, self._frozen, self._x, self._target = ztw, frozen, x, target

    def batches(self, epoch: int, size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        for rows in shuffled(ROWS, size, seed=0, epoch=epoch, start=start):
            yield self._x[rows], self._target[rows]

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        x, target = batch
        features, base = self._frozen(x)
        return heads_loss(self.module(features, base)[:-1], target)

    def evaluate(self) -> Mapping[str, float]:
        return {}


class QuietTask(HeadsTask):
    """Reports nothing, as the plain loop here."""

    def evaluate(self) -> Mapping[str, float]:
        return {}


def main() -> None:
    rows: list[list[str | int | float | None]] = []
    with one_thread(), tempfile.TemporaryDirectory() as temp:
        for number, (name, shape) in enumerate(NETWORKS.items()):
            rows += [_compared(Path(temp, f"{number}-{kind}"), name, shape, kind) for kind in ("conv", "linear")]
    write_result(
        "heads", ["network", "heads", "exits", "features, s", "cached epoch, s", "plain epoch, s",
                  "plain / cached, an epoch",
                  f"plain / cached, {PAPER_EPOCHS} epochs"],
        rows,
        f"ZTW heads after every block, {ROWS} random pictures, batches of 128, float32, one thread. The last column "
        f"counts the one pass that computes the features, and {PAPER_EPOCHS} epochs as in the paper.",
    )  # fmt: skip


def _compared(folder: Path, name: str, shape: tuple[int, ...], kind: HeadKind) -> list[str | int | float | None]:
    folder.mkdir()
    net = make_backbone(name, labels=LABELS, input_shape=shape)
    places = every_place(net)
    x = np.random.default_rng(0).standard_normal((ROWS, *shape)).astype(np.float32)
    target = np.random.default_rng(1).integers(0, LABELS, ROWS)
    export_backbone(net, places, shape, folder / "net.onnx")
    network = read_network(folder / "net.onnx", output="logits")
    pieces = cut(network, choose_cuts(network, find_cuts(network), at=[place_name(place) for place in places]))
    start = time.perf_counter()
    found = features(network, pieces, rows_of({INPUT: x}), folder / "features")
    features_s = time.perf_counter() - start
    cached = Cached(found.cuts, found.logits, target)
    shapes = [one.shape[1:] for one in found.cuts]
    plain = PlainTask(Ztw(shapes, LABELS, kind), Frozen(net, places), torch.from_numpy(x), torch.from_numpy(target))
    plain_s = _epoch_s(plain)
    cached_s = _epoch_s(QuietTask(Ztw(shapes, LABELS, kind), [cached], cached, seed=0))
    whole = PAPER_EPOCHS * plain_s / (features_s + PAPER_EPOCHS * cached_s)
    return [name, kind, len(places), round(features_s, 2), round(cached_s, 2), round(plain_s, 2),
            round(plain_s / cached_s, 2), round(whole, 2)]  # fmt: skip


def _epoch_s(task: PlainTask | HeadsTask) -> float:
    device = choose_device("cpu", "float32")
    train(task, Schedule(1, 1e-3), seed=0, device=device)
    start = time.perf_counter()
    train(task, Schedule(PLAIN_EPOCHS, 1e-3), seed=0, device=device)
    return (time.perf_counter() - start) / PLAIN_EPOCHS


if __name__ == "__main__":
    main()
