"""Tests of where ONNX models keep their external data."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anytime.model_store import errors
from anytime.model_store.bundle import open_bundle
from anytime.model_store.external import external_files
from anytime.model_store.manifest import File
from tests.model_store import tiny

DATA = tiny.WEIGHT.tobytes()


def outside(location, **more):
    """A tensor (4, 3) whose data lies at ``location``."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(4, 3), data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def head(tensor):
    model = tiny.head()
    model.graph.initializer[0].CopyFrom(tensor)
    return model


def test_inside(folder):
    """External data that is listed and inside is read, counted and hashed."""
    tiny.rewrite(folder, "head.onnx", head(outside("w.bin", offset="0", length="48")).SerializeToString())
    tiny.rewrite(folder, "w.bin", DATA)
    bundle = open_bundle(folder)
    assert bundle.weight_files == {"head.onnx", "body.onnx", "w.bin"}
    assert bundle.weight_bytes == sum((folder / name).stat().st_size for name in bundle.weight_files)


@pytest.mark.parametrize(
    "location", ["", "/etc/passwd", "../w.bin", "sub/../w.bin", "unlisted.bin", "*/_ORT_MEM_ADDR_/*", "..\\w.bin"]
)
def test_outside(folder, location):
    """External data outside the bundle, unlisted or without a place is ExternalDataOutside."""
    tiny.rewrite(folder, "head.onnx", head(outside(location)).SerializeToString())
    tiny.rewrite(folder, "w.bin", DATA)
    with pytest.raises(errors.ExternalDataOutside):
        open_bundle(folder)


@pytest.mark.parametrize(
    "span", [{"offset": "-1"}, {"offset": "40", "length": "20"}, {"length": "x"}, {"length": "-4"}]
)
def test_beyond_the_end(folder, span):
    """External data that points beyond its file is ExternalDataOutside."""
    tiny.rewrite(folder, "head.onnx", head(outside("w.bin", **span)).SerializeToString())
    tiny.rewrite(folder, "w.bin", DATA)
    with pytest.raises(errors.ExternalDataOutside, match="48 bytes"):
        open_bundle(folder)


def corner(place):
    """A model that hides an outside tensor where ``place`` says."""
    tensor, model = outside("/etc/passwd"), tiny.head()
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    inner = helper.make_graph([node], "inner", [], [])
    if place == "attribute":
        model.graph.node.append(node)
    elif place == "subgraph":
        model.graph.node.append(helper.make_node("If", ["q"], ["z"], then_branch=inner, else_branch=inner))
    elif place == "function":
        model.functions.append(helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 21)]))
    elif place == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    elif place == "sparse attribute":
        attribute = onnx.AttributeProto(name="s", type=onnx.AttributeProto.SPARSE_TENSOR)
        attribute.sparse_tensor.indices.CopyFrom(tensor)
        model.graph.node[0].attribute.append(attribute)
    elif place == "training":
        model.training_info.add().algorithm.initializer.append(tensor)
    return model


@pytest.mark.parametrize(
    "place", ["attribute", "subgraph", "function", "sparse", "sparse attribute", "training"]
)  # fmt: skip
def test_corners(place):
    """External data is found in attributes, subgraphs, functions, sparse tensors and training graphs."""
    with pytest.raises(errors.ExternalDataOutside):
        external_files(corner(place), "head.onnx", {})


def test_beside_the_model():
    """A location counts from the model's own folder."""
    listed = {"sub/w.bin": File(sha256="0" * 64, bytes=48)}
    assert external_files(head(outside("w.bin")), "sub/head.onnx", listed) == {"sub/w.bin"}
    assert external_files(head(onnx.numpy_helper.from_array(np.zeros(1), "w")), "sub/head.onnx", listed) == frozenset()
