import pytest
from onnx import TensorProto, helper

from anytime.training.errors import BadClassifier
from anytime.training.scores import find_labels, find_scores
from tests.training.classifiers import linear


def with_outputs(*outputs):
    model = linear()
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(*output) for output in outputs)
    return model


def test_the_one_float_tensor_is_it():
    """Labels, texts and tensors of other ranks are passed over."""
    model = with_outputs(
        ("label", TensorProto.INT64, ["n"]), ("names", TensorProto.STRING, ["n", 3]), ("t0", TensorProto.DOUBLE, ["n", 3]),
        ("maps", TensorProto.FLOAT, ["n", 8, 7, 7]),
    )  # fmt: skip
    assert find_scores(model, "m") == "t0"


def test_zip_map_columns_are_refused():
    """A tensor per class says how to export instead."""
    model = with_outputs(("a", TensorProto.FLOAT, ["n"]), ("b", TensorProto.FLOAT, ["n"]))
    with pytest.raises(BadClassifier, match=r"a \(float \['n'\]\), b .*'zipmap': False"):
        find_scores(model, "m")


def test_a_list_of_dictionaries_that_nothing_undoes_is_refused():
    """Only what a ZipMap made can be led back to a tensor."""
    model = linear()
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model.graph.output[0].type.CopyFrom(kind)
    with pytest.raises(BadClassifier, match=r"t0 \(sequence\)"):
        find_scores(model, "m")


def test_a_model_that_names_nothing_has_no_labels():
    """Nor do labels of another number count."""
    model = linear()
    assert find_labels(model, 3) is None
    model.graph.node.append(
        helper.make_node("LinearClassifier", ["x"], ["l", "p"], domain="ai.onnx.ml", classlabels_strings=["a", "b"])
    )
    assert find_labels(model, 3) is None
    assert find_labels(model, 2) == ("a", "b")
