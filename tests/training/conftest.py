"""Networks from outside the project, exported once for all tests of training; nobody changes their files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from anytime.training.attach import Network, read_network
from tests.training.attach.networks import FACTORIES, LENGTH, PICTURE, SEQUENCE, SIGNAL, TOKENS, save
from tests.training.finished_runs import make_run


@pytest.fixture(scope="session")
def factories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's file with functions that make torch networks."""
    path = tmp_path_factory.mktemp("factories") / "zoo.py"
    path.write_text(FACTORIES)
    return path


@pytest.fixture(scope="session")
def networks(factories: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Network]:
    """By name: a residual net of torch's, one on signals, one with maps (rows, height, width, channels), ViT and BERT of
    ``transformers``, scikit-learn's MLP, and one with external data."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    from anytime.training.attach.export_factory import export_factory

    folder = tmp_path_factory.mktemp("networks")
    paths = {
        name: export_factory(f"{factories}:{name}", PICTURE, folder / name) for name in ("cnn", "vit", "channels_last")
    }
    paths["signal"] = export_factory(f"{factories}:signal", SIGNAL, folder / "signal", LENGTH)
    paths["bert"] = export_factory(f"{factories}:bert", TOKENS, folder / "bert", SEQUENCE)
    rows, label = load_digits(return_X_y=True)
    rows = (rows / 16).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = MLPClassifier((32, 16), max_iter=5, random_state=0).fit(rows, label)
    paths["mlp"] = save(folder / "mlp.onnx", to_onnx(fitted, rows[:1], options={"zipmap": False}))
    paths["external"] = folder / "external" / "cnn.onnx"
    paths["external"].parent.mkdir()
    onnx.save(onnx.load(paths["cnn"]), paths["external"], save_as_external_data=True, location="cnn.data",
              size_threshold=256)  # fmt: skip
    axes = {"bert": SEQUENCE, "signal": LENGTH}
    return {name: read_network(path, axes=axes.get(name, {})) for name, path in paths.items()}


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run that has ended, its network and rows beside it; nobody changes it."""
    return make_run(tmp_path_factory.mktemp("finished"))
