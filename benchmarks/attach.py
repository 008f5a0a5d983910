"""Exits on a network from outside, without labels: how far they agree with it, against the milliseconds that they save.

The network is plain torch, written and trained here by a few lines that know nothing of this project, on Fashion-MNIST
(``ANYTIME_DATA``, or downloaded), and exported by torch. Its exits see only what it says of pictures without labels.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from anytime.policy import Trace
from anytime.training.add_exits import ExitOptions, Made, add_exits
from anytime.training.attach import choose_cuts, find_cuts, read_network
from anytime.training.calibration import hold
from anytime.training.data.data_set import DataSet
from anytime.training.data.read import read_data
from anytime.training.examples import picture_examples, some
from anytime.training.exporter import quiet
from anytime.training.loop import choose_device, one_thread
from anytime.training.methods.schedules import ENSEMBLES, HEADS
from anytime.training.models.heads import HeadOptions
from anytime.training.savings import measure_savings
from benchmarks.measure import write_result

ROWS, EPOCHS, BATCH = 12_000, 3, 64
EXITS = 6
TRACED = 2_000


def main() -> None:
    data = read_data("fashion-mnist", seed=0, calibration=1 - ROWS / 60_000)
    with one_thread(), tempfile.TemporaryDirectory() as temp:
        path = Path(temp, "theirs.onnx")
        _export(_train(data), data, path)
        made, labels = _attach(path, data, Path(temp, "run"))
    manifest, flow = made.bundle.manifest, made.bundle.flow
    savings = measure_savings(manifest, flow, made.traces["calibration"], made.traces["test"])
    own = made.traces["test"].outputs["logits"][:, -1].argmax(axis=1)
    rows: list[list[str | int | float | None]] = [
        ["the network itself", 100.0, _percent(own == labels), round(savings.base_ms, 3), 0.0]
    ]
    assert manifest.calibration is not None, "the road calibrates"
    for point in manifest.calibration.operating_points:
        if not point.name.startswith("accuracy-"):
            continue
        test: Trace = made.traces["test"]
        agreed = hold(dict(point.policy), manifest, flow, test)
        right = hold(dict(point.policy), manifest, flow, replace(test, label=labels))
        rows.append([f"target={point.name}", _percent(agreed.accuracy or 0.0), _percent(right.accuracy or 0.0),
                     round(agreed.ms, 3), _percent(1 - agreed.ms / savings.base_ms)])  # fmt: skip
    write_result(
        "attach", ["policy", "agreement, %", "right, %", "ms a row", "ms saved, %"], rows,
        f"A convolutional network of plain torch, {manifest.base_macs:,} multiply-adds, trained on {ROWS:,} pictures of "
        f"Fashion-MNIST; {manifest.exits} exits with pooled heads, trained on what it says of them, no label seen. "
        f"Thresholds from {TRACED:,} other pictures, figures on {TRACED:,} test pictures, each graph at its time for a row.",
    )  # fmt: skip


def _percent(share: np.ndarray | float) -> float:
    return round(100 * float(np.mean(share)), 1)


def _train(data: DataSet) -> nn.Module:
    """Three pairs of convolutions and a classifier, by Adam."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 1
    for channels in (32, 64, 128):
        for width in (before, channels):
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before = channels
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Linear(256, 10))
    x, label = data.train.inputs(np.arange(len(data.train))), data.train.labels
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for epoch in range(EPOCHS):
        for rows in np.array_split(np.random.default_rng(epoch).permutation(len(x)), len(x) // BATCH):
            loss = functional.cross_entropy(net(torch.from_numpy(x[rows])), torch.from_numpy(label[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def _export(net: nn.Module, data: DataSet, path: Path) -> None:
    with quiet():
        program = torch.onnx.export(
            net, (torch.zeros(2, *data.input_shape),), dynamo=True, verbose=False, input_names=["image"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    assert program is not None, "torch gives a program where it gets no file"
    program.save(path)


def _attach(path: Path, data: DataSet, run: Path) -> tuple[Made, np.ndarray]:
    """The bundle, and the right labels of the rows of its test trace, which it never saw."""
    network = read_network(path)
    cuts = choose_cuts(network, find_cuts(network), count=EXITS)
    options = ExitOptions(distil=True, head=HeadOptions("pool"), heads=HEADS["cifar"].scaled(12),
                          ensembles=ENSEMBLES.scaled(50), trace_rows=TRACED)  # fmt: skip
    examples = picture_examples(data, network.inputs, labelled=False)
    made = add_exits("theirs", network, cuts, examples, options, run, device=choose_device("cpu", "float32"), say=print)
    label = some(picture_examples(data, network.inputs).test, TRACED, options.seed).label
    assert label is not None, "the data set has labels"
    return made, label


if __name__ == "__main__":
    main()
