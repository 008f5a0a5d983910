"""Maps that come into a graph are laid out at once for ONNX Runtime where that helps, and only there."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from anytime.model_store.blocked import runnable
from anytime.model_store.errors import GraphUnreadable
from tests.model_store.tiny import model

X86 = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"}, reason="the layout in blocks was measured on x86-64 alone"
)
DRAW = np.random.default_rng(0)


def residual(channels=16, side=5, dtype="float32", nodes=None, said=None, written=None) -> onnx.ModelProto:
    """y = relu(x + conv(x)), or what ``nodes`` compute from the map ``x`` and the weight ``w``; ``said``: its channels."""
    weight = DRAW.normal(0.0, 0.1, (channels, channels, 3, 3)).astype(dtype)
    return model(
        nodes or [conv("x", "c"), helper.make_node("Add", ["x", "c"], ["s"]), helper.make_node("Relu", ["s"], ["y"])],
        {"x": (dtype, ["batch", said or channels, side, side])},
        {"y": (dtype, ["batch", written or channels, side, side])},
        {"w": weight},
    )


def conv(reads: str, writes: str, **attributes) -> onnx.NodeProto:
    return helper.make_node("Conv", [reads, "w"], [writes], pads=[1, 1, 1, 1], **attributes)


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "graph.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def opened(what: Path | bytes, optimised: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns that an optimised graph is for this machine only
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(what, options, providers=["CPUExecutionProvider"])


def kinds(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


@X86
def test_a_residual_block_stays_in_blocks(tmp_path):
    """Once ONNX Runtime has optimised it, no sum and no Relu is left by itself, and the map is laid out once."""
    path = saved(residual(), tmp_path)
    plain, blocked = tmp_path / "plain.onnx", tmp_path / "blocked.onnx"
    opened(path, plain)
    opened(runnable(path, "graph.onnx"), blocked)
    before, after = kinds(onnx.load(plain)), kinds(onnx.load(blocked))
    if "ReorderInput" not in before:
        pytest.skip("ONNX Runtime has no layout in blocks for this processor")
    assert "Add" in before
    assert sorted(after) == ["Conv", "MaxPool", "ReorderInput", "ReorderOutput"]


@X86
@settings(max_examples=30, deadline=None)
@given(
    channels=st.sampled_from([16, 32, 48]),
    rows=st.integers(1, 3),
    side=st.integers(1, 9),
    scale=st.sampled_from([1e-30, 1.0, 1e6]),
    seed=st.integers(0, 2**16),
)
def test_it_computes_the_same(channels, rows, side, scale, seed, tmp_path_factory):
    """What comes out differs by rounding at most, for any rows, sizes and magnitudes."""
    path = saved(residual(channels, side), tmp_path_factory.mktemp("residual"))
    x = (scale * np.random.default_rng(seed).normal(size=(rows, channels, side, side))).astype(np.float32)
    what = runnable(path, "graph.onnx")
    assert isinstance(what, bytes)
    np.testing.assert_allclose(
        opened(what).run(None, {"x": x})[0], opened(path).run(None, {"x": x})[0], rtol=1e-5, atol=1e-5 * scale
    )


@X86
def test_nan_and_infinity_are_not_hidden(tmp_path):
    """A map that breaks still breaks what follows: the engine must hear of it."""
    path = saved(residual(nodes=[conv("x", "c"), helper.make_node("Add", ["x", "c"], ["y"])]), tmp_path)
    x = np.zeros((1, 16, 5, 5), np.float32)
    x[0, 0, 0, 0], x[0, 1, 4, 4] = np.nan, np.inf
    what = runnable(path, "graph.onnx")
    assert isinstance(what, bytes)
    broken = ~np.isfinite(opened(path).run(None, {"x": x})[0])
    assert 0 < broken.sum() < broken.size
    np.testing.assert_array_equal(~np.isfinite(opened(what).run(None, {"x": x})[0]), broken)


@X86
@pytest.mark.parametrize(
    "nodes",
    [
        [conv("x", "c"), helper.make_node("Concat", ["x", "c"], ["s"], axis=1), helper.make_node("Relu", ["s"], ["y"])],
        [helper.make_node("Relu", ["x"], ["r"]), conv("r", "c"), conv("x", "d"),
         helper.make_node("Sum", ["x", "c", "d"], ["y"])],
    ],
    ids=["Concat", "Sum"],
)  # fmt: skip
def test_other_joins(nodes, tmp_path):
    """A Concat and a Sum join like an Add."""
    what = runnable(saved(residual(nodes=nodes, written="c"), tmp_path), "graph.onnx")
    assert isinstance(what, bytes)
    assert kinds(onnx.ModelProto.FromString(what))[0] == "MaxPool"


@pytest.mark.parametrize(
    "proto",
    [
        residual(channels=24),
        residual(dtype="float64"),
        residual(said="c"),
        residual(nodes=[conv("x", "c"), conv("x", "d"), helper.make_node("Add", ["c", "d"], ["y"])]),
        residual(nodes=[helper.make_node("Add", ["x", "x"], ["y"])]),
        residual(nodes=[conv("x", "c"), helper.make_node("Add", ["x", "c"], ["y"], domain="com.example")]),
        model([helper.make_node("Add", ["x", "x"], ["y"])], {"x": ("float32", ["batch", 16])}, {"y": ("float32", None)}),
    ],
    ids=["24 channels", "float64", "open channels", "only convolutions", "no convolution", "an Add of somebody's own",
         "no map"],
)  # fmt: skip
def test_other_graphs_stay_as_they_are(proto, tmp_path):
    """Where it would gain nothing or lose, a session is made of the file itself."""
    path = saved(proto, tmp_path)
    assert runnable(path, "graph.onnx") == path


def test_weights_in_other_files(tmp_path):
    """Such a graph stays as it is: ONNX Runtime finds its weights beside the file only."""
    path = tmp_path / "graph.onnx"
    onnx.save(residual(), path, save_as_external_data=True, size_threshold=0, location="weights")
    assert runnable(path, "graph.onnx") == path


def test_other_machines(tmp_path, monkeypatch):
    """Elsewhere than on x86-64 nothing was measured, and nothing is changed."""
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    path = saved(residual(), tmp_path)
    assert runnable(path, "graph.onnx") == path


@X86
def test_names_do_not_collide(tmp_path):
    """A tensor that is called as the pooled map would be is none the worse."""
    nodes = [
        conv("x", "map0"),
        helper.make_node("Add", ["x", "map0"], ["map0_"]),
        helper.make_node("Relu", ["map0_"], ["y"]),
    ]
    path = saved(residual(nodes=nodes), tmp_path)
    x = DRAW.normal(size=(1, 16, 5, 5)).astype(np.float32)
    what = runnable(path, "graph.onnx")
    assert isinstance(what, bytes)
    np.testing.assert_allclose(
        opened(what).run(None, {"x": x})[0], opened(path).run(None, {"x": x})[0], rtol=1e-5, atol=1e-6
    )


def test_no_graph(tmp_path):
    """A file that is no ONNX model is refused by the name that it was given."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(GraphUnreadable, match=r"'stages/graph\.onnx' is not an ONNX model"):
        runnable(path, "stages/graph.onnx")
