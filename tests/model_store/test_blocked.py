"""A residual block's map is laid out at once for ONNX Runtime where that helps, and only there."""

from __future__ import annotations

import os
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
from tests.model_store.tiny import model

X86 = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"}, reason="the layout in blocks was measured on x86-64 alone"
)
DRAW = np.random.default_rng(0)


def op(kind: str, reads: str, writes: str, **attributes) -> onnx.NodeProto:
    """One node; names are told apart by spaces."""
    return helper.make_node(kind, reads.split(), [writes], **attributes)


def conv(reads: str, writes: str, weight: str = "w", **attributes) -> onnx.NodeProto:
    return op("Conv", f"{reads} {weight}", writes, pads=[1, 1, 1, 1], **attributes)


def norm(reads: str, writes: str) -> onnx.NodeProto:
    return op("BatchNormalization", f"{reads} one zero zero one", writes)


PLAIN = (conv("x", "c"), op("Add", "x c", "s"), op("Relu", "s", "y"))


def graph(nodes=PLAIN, channels=16, side=5, dtype="float32", said=None, maps=("x",), written=None) -> onnx.ModelProto:
    """y of the maps, which have the channels ``said``. Weights: w, and u of 24 more channels, and d of a channel each."""
    weights = {
        "w": DRAW.normal(0.0, 0.1, (channels, channels, 3, 3)),
        "u": DRAW.normal(0.0, 0.1, (24, channels, 3, 3)),
        "v": DRAW.normal(0.0, 0.1, (channels, 24, 3, 3)),
        "d": DRAW.normal(0.0, 0.1, (channels, 1, 3, 3)),
        "one": np.ones(channels),
        "zero": np.zeros(channels),
    }
    shape = ["batch", said or channels, side, side]
    return model(
        list(nodes),
        dict.fromkeys(maps, (dtype, shape)),
        {"y": (dtype, ["batch", written or channels, side, side])},
        {name: weight.astype(dtype) for name, weight in weights.items()},
    )


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


RESIDUAL = {
    "a block": PLAIN,
    "the other way round": (conv("x", "c"), op("Add", "c x", "s"), op("Relu", "s", "y")),
    "two convolutions": (conv("x", "c"), op("Relu", "c", "r"), conv("r", "d2"), op("Sum", "x d2", "y")),
    "norms before": (norm("x", "n"), op("Relu", "n", "r"), conv("r", "c"), op("Add", "x c", "y")),
    "a norm and a bound behind": (conv("x", "c"), norm("c", "n"), op("Clip", "n", "r"), op("Add", "x r", "y")),
    "two blocks": (*PLAIN[:2], op("Relu", "s", "r"), conv("r", "e"), op("Add", "r e", "y")),
    "who else reads it": (conv("x", "c"), op("Add", "x c", "s"), op("Mul", "x x", "m"), op("Add", "s m", "y")),
    "ai.onnx": (conv("x", "c", domain="ai.onnx"), op("Add", "x c", "y", domain="ai.onnx")),
}


@X86
def test_a_residual_block_stays_in_blocks(tmp_path):
    """Once ONNX Runtime has optimised it, no sum and no Relu is left by itself, and the map is laid out once."""
    path = saved(graph(), tmp_path)
    plain, laid_out = tmp_path / "plain.onnx", tmp_path / "laid-out.onnx"
    opened(path, plain)
    opened(runnable(path), laid_out)
    before, after = kinds(onnx.load(plain)), kinds(onnx.load(laid_out))
    if "ReorderInput" not in before:
        pytest.skip("ONNX Runtime has no layout in blocks for this processor")
    assert "Add" in before
    assert sorted(after) == ["AveragePool", "Conv", "ReorderInput", "ReorderOutput"]


@X86
@pytest.mark.parametrize("nodes", RESIDUAL.values(), ids=RESIDUAL)
def test_every_residual_block_is_laid_out(nodes, tmp_path):
    """In front of all that reads the map there is one average over one pixel, and what comes out is the same."""
    path = saved(graph(nodes), tmp_path)
    what = runnable(path)
    assert isinstance(what, bytes)
    changed = onnx.ModelProto.FromString(what)
    assert [node.op_type for node in changed.graph.node if "x" in node.input] == ["AveragePool"]
    x = DRAW.normal(size=(2, 16, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(
        opened(what).run(None, {"x": x})[0], opened(path).run(None, {"x": x})[0], rtol=1e-4, atol=1e-5
    )


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
    path = saved(graph(channels=channels, side=side), tmp_path_factory.mktemp("residual"))
    x = (scale * np.random.default_rng(seed).normal(size=(rows, channels, side, side))).astype(np.float32)
    what = runnable(path)
    assert isinstance(what, bytes)
    np.testing.assert_allclose(
        opened(what).run(None, {"x": x})[0], opened(path).run(None, {"x": x})[0], rtol=1e-5, atol=1e-5 * scale
    )


@X86
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_no_broken_number_is_hidden(broken, tmp_path):
    """A map that breaks breaks what follows as before: the engine must hear of it."""
    path = saved(graph([conv("x", "c"), op("Add", "x c", "y")]), tmp_path)
    x = np.zeros((1, 16, 5, 5), np.float32)
    x[0, 0, 0, 0] = broken
    what = runnable(path)
    assert isinstance(what, bytes)
    wanted = ~np.isfinite(opened(path).run(None, {"x": x})[0])
    assert 0 < wanted.sum() < wanted.size
    np.testing.assert_array_equal(~np.isfinite(opened(what).run(None, {"x": x})[0]), wanted)


@X86
def test_several_maps(tmp_path):
    """Each is laid out by a node of its own."""
    nodes = [conv("x", "c"), op("Add", "x c", "s"), conv("z", "e"), op("Add", "e z", "t"), op("Add", "s t", "y")]
    path = saved(graph(nodes, maps=("x", "z")), tmp_path)
    what = runnable(path)
    assert isinstance(what, bytes)
    assert kinds(onnx.ModelProto.FromString(what)).count("AveragePool") == 2
    feeds = {name: DRAW.normal(size=(1, 16, 5, 5)).astype(np.float32) for name in "xz"}
    np.testing.assert_allclose(opened(what).run(None, feeds)[0], opened(path).run(None, feeds)[0], rtol=1e-4, atol=1e-5)


OTHERS = {
    "24 channels": graph(channels=24),
    "one channel, added to all": graph([conv("x", "c", "d"), op("Add", "x c", "y")], said=1),
    "float64": graph(dtype="float64"),
    "open channels": graph(said="c"),
    "only convolutions": graph([conv("x", "c"), conv("x", "e"), op("Add", "c e", "y")]),
    "no convolution": graph([op("Relu", "x", "r"), op("Add", "x r", "y")]),
    "added to itself": graph([conv("x", "c"), op("Add", "x x", "y")]),
    "another map's convolution": graph([conv("z", "c"), op("Add", "x c", "y")], maps=("x", "z")),
    "three terms": graph([conv("x", "c"), conv("x", "e"), op("Sum", "x c e", "y")]),
    "an activation that leaves the blocks": graph([conv("x", "c"), op("Erf", "c", "e"), conv("e", "f"),
                                                   op("Add", "x f", "y")]),
    "odd channels between": graph([conv("x", "c", "u"), conv("c", "e", "v"), op("Add", "x e", "y")]),
    "a channel each": graph([conv("x", "c", "d", group=16), op("Add", "x c", "y")]),
    "a Concat": graph([conv("x", "c"), op("Concat", "x c", "y", axis=1)], written=32),
    "an Add of somebody's own": graph([conv("x", "c"), op("Add", "x c", "y", domain="com.example")]),
    "a Conv of somebody's own": graph([conv("x", "c", domain="com.example"), op("Add", "x c", "y")]),
    "a vector": model([op("Conv", "x w", "c"), op("Add", "x c", "y")], {"x": ("float32", ["batch", 16])},
                      {"y": ("float32", None)}, {"w": np.ones((16, 16, 1, 1), np.float32)}),
    "a volume": model([op("Conv", "x w", "c"), op("Add", "x c", "y")], {"x": ("float32", ["batch", 16, 4, 4, 4])},
                      {"y": ("float32", None)}, {"w": np.ones((16, 16, 1, 1), np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("proto", OTHERS.values(), ids=OTHERS)
def test_other_graphs_stay_as_they_are(proto, tmp_path):
    """Where it would gain nothing or lose, a session is made of the file itself."""
    path = saved(proto, tmp_path)
    assert runnable(path) == path


def test_weights_in_other_files(tmp_path):
    """Such a graph stays as it is: ONNX Runtime finds its weights beside the file only."""
    path = tmp_path / "graph.onnx"
    onnx.save(graph(), path, save_as_external_data=True, size_threshold=0, location="weights")
    assert runnable(path) == path


def test_large_files(tmp_path):
    """A file above 256 MiB stays as it is, and is not read."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"no graph, but nobody looks")
    os.truncate(path, 256 * 1024**2 + 1)
    assert runnable(path) == path


@pytest.mark.parametrize(("machine", "changed"), [("arm64", False), ("AMD64", True), ("x86_64", True)])
def test_machines(machine, changed, tmp_path, monkeypatch):
    """Elsewhere than on x86-64 nothing was measured, and nothing is changed."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert isinstance(runnable(saved(graph(), tmp_path)), bytes) == changed


@X86
def test_names_do_not_collide(tmp_path):
    """A tensor that is called as the map laid out would be is none the worse."""
    path = saved(graph([conv("x", "map0"), op("Add", "x map0", "map0_"), op("Relu", "map0_", "y")]), tmp_path)
    x = DRAW.normal(size=(1, 16, 5, 5)).astype(np.float32)
    what = runnable(path)
    assert isinstance(what, bytes)
    np.testing.assert_allclose(
        opened(what).run(None, {"x": x})[0], opened(path).run(None, {"x": x})[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("content", [b"no graph", b"Conv, and no graph"])
def test_no_graph(content, tmp_path):
    """A file that is no ONNX model stays as it is, for the session to refuse."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(content)
    assert runnable(path) == path
