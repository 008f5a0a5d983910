import hashlib

import numpy as np
import onnx
import pytest
from onnx import helper

from anytime.training.classifier import read_classifier
from anytime.training.errors import BadClassifier, MacsUnknown
from tests.training.classifiers import LABELS, SORTED_LABELS, export, linear, save, stacked


@pytest.mark.parametrize(("name", "macs"), [("logistic", 64 * 10), ("mlp", 64 * 16 + 16 * 10)])
@pytest.mark.parametrize("zipmap", [False, True])
def test_scikit_learn_models_are_understood(tmp_path, name, macs, zipmap):
    """Input, probabilities, labels and multiply-adds are found, whether or not a ZipMap hides the tensor."""
    path = export(tmp_path, name, zipmap=zipmap)
    read = read_classifier(path)
    assert (read.dtype, read.row_shape, read.one_row) == ("float32", (64,), False)
    assert (read.kind, read.classes, read.macs) == ("probabilities", 10, macs)
    assert read.labels == tuple("0123456789")
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["logistic", "mlp", "forest"])
def test_labels_that_are_texts_are_found(tmp_path, name):
    """Whatever operator carries them."""
    assert len(LABELS) == 10
    assert read_classifier(export(tmp_path, name, named=True), macs=1).labels == SORTED_LABELS


def test_what_gives_the_label_is_left_out(tmp_path):
    """Only what the scores need stays in the graph."""
    kept = read_classifier(export(tmp_path, "mlp")).model.graph
    assert {node.op_type for node in kept.node} == {"Cast", "MatMul", "Add", "Relu", "Softmax", "Identity"}
    assert not any(tensor.name == "classes" for tensor in kept.initializer)


def test_raw_scores_are_logits(tmp_path):
    """A model that ends before its softmax needs nothing more."""
    assert read_classifier(export(tmp_path, "logistic", raw_scores=True)).kind == "logits"


@pytest.mark.parametrize(
    ("tail", "kind"), [((), "logits"), (("Softmax",), "probabilities"), (("LogSoftmax",), "logits")]
)
def test_scores_are_told_apart_by_running(tmp_path, tail, kind):
    """Rows of probabilities sum to 1; nothing else does."""
    assert read_classifier(save(tmp_path / "m.onnx", linear(*tail))).kind == kind


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_what_the_caller_says_wins(tmp_path, kind):
    """A sigmoid per class may be either, and is taken for what it is said to be."""
    path = save(tmp_path / "m.onnx", linear("Sigmoid"))
    assert read_classifier(path, kind).kind == kind
    with pytest.raises(BadClassifier, match=r"do not sum to 1.*--outputs probabilities"):
        read_classifier(path)


def test_a_row_axis_fixed_at_1_is_told(tmp_path):
    """Such a model runs, one row at a time."""
    assert read_classifier(save(tmp_path / "m.onnx", linear(shape=(1, 4)))).one_row


def test_trees_need_their_macs(tmp_path):
    """Nothing in a tree can be counted, so the number is asked for, and taken where given."""
    path = export(tmp_path, "forest")
    with pytest.raises(MacsUnknown, match=r"forest\.onnx has trees.*--macs forest\.onnx=N"):
        read_classifier(path)
    assert read_classifier(path, macs=30).macs == 30


def test_a_model_without_multiply_adds_needs_them_given(tmp_path):
    """A graph of elementwise work counts 0, which is no cost."""
    model = linear()
    model.graph.node[0].op_type = "Add"
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones(4, np.float32), "w"))
    with pytest.raises(MacsUnknown, match="no multiply-adds that can be counted"):
        read_classifier(save(tmp_path / "m.onnx", model))


def with_open_axis():
    return linear(shape=("batch", "width"))


def without_shape():
    model = linear()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def of_texts():
    model = linear()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    return model


def two_scores():
    model = linear("Softmax")
    model.graph.output.append(helper.make_tensor_value_info("t0", onnx.TensorProto.FLOAT, [None, 3]))
    return model


def no_scores():
    model = linear()
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    return model


def unrunnable():
    model = linear()
    model.graph.node[0].op_type = "Nonsense"
    return model


def fixed_inside():
    """Open at its input, and reshaped to one row inside."""
    model = linear()
    shape = onnx.numpy_helper.from_array(np.array([1, 4], np.int64), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("Reshape", ["x", "shape"], ["flat"]))
    model.graph.node[1].input[0] = "flat"
    return model


def infinite():
    return linear(weight=np.full((4, 3), np.inf, np.float32))


FAULTS = [
    (lambda: linear(shape=(8, 4)), "takes exactly 8 rows at a time.*dynamic_axes"),
    (with_open_axis, "open axis 'width'.*make_dynamic_shape_fixed --dim_param width"),
    (without_shape, "'x' has no shape"),
    (lambda: linear(shape=("batch",)), "only one axis"),
    (of_texts, "no tensor of bool, uint8"),
    (stacked, r"has 2 inputs \(a, b\)"),
    (two_scores, r"several outputs.*t1 \(float.*t0 \(float.*name the right one"),
    (no_scores, "no output with a score per class.*'zipmap': False"),
    (lambda: linear(rank=3), "no output with a score per class"),
    (lambda: linear(weight=np.ones((4, 1), np.float32)), r"gives the shape \[4, 1\].*two classes or more"),
    (unrunnable, "ONNX Runtime cannot run it.*Nonsense"),
    (fixed_inside, "ONNX Runtime cannot run it on 4 rows"),
    (infinite, "infinities or NaN on random inputs.*--outputs"),
]


@pytest.mark.parametrize(("build", "message"), FAULTS)
def test_what_cannot_be_a_stage_is_refused(tmp_path, build, message):
    """Each fault names the file, what was wrong and what to do."""
    with pytest.raises(BadClassifier, match=message) as caught:
        read_classifier(save(tmp_path / "net.onnx", build()), macs=1)
    assert str(caught.value).startswith("net.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    """Neither a text nor nothing at all."""
    (tmp_path / "text.onnx").write_text("no protobuf")
    with pytest.raises(BadClassifier, match=r"text\.onnx.*not an ONNX model"):
        read_classifier(tmp_path / "text.onnx")
    with pytest.raises(BadClassifier, match="cannot be read"):
        read_classifier(tmp_path / "absent.onnx")


def test_the_named_output_is_taken_of_several(tmp_path):
    """An export with features beside the scores is fine if one is called 'logits'."""
    model = two_scores()
    model.graph.node[1].output[0] = "logits"
    model.graph.output[0].name = "logits"
    assert read_classifier(save(tmp_path / "m.onnx", model)).scores == "logits"
