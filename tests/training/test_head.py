import numpy as np
import onnx
import onnxruntime
import pytest

from anytime.training.classifier import read_classifier
from anytime.training.errors import BadClassifier
from anytime.training.head import TINY, Member, make_head
from tests.training.classifiers import export, linear, save, softmax

X = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)


def head_of(tmp_path, model, member=None, kind="auto"):
    return make_head(read_classifier(save(tmp_path / "m.onnx", model), kind), member)


def run(head, feeds):
    return onnxruntime.InferenceSession(head.model.SerializeToString()).run(None, feeds)


def test_float32_logits_stay_as_they_are(tmp_path):
    """Nothing is added to a model that gives what a head should."""
    model = linear()
    assert [node.op_type for node in head_of(tmp_path, model).model.graph.node] == ["MatMul"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_probabilities_become_float32_logits(tmp_path, dtype):
    """softmax(log p) is p again, whatever the model's own dtype."""
    model = linear("Softmax", dtype=dtype)
    (logits,) = run(head_of(tmp_path, model), {"x": X.astype(dtype)})
    (p,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X.astype(dtype)})
    assert logits.dtype == np.float32
    np.testing.assert_allclose(softmax(logits), p, atol=1e-6 if dtype != "float16" else 1e-3)


def test_a_probability_of_zero_stays_finite(tmp_path):
    """Its logarithm is taken of the least normal float32."""
    weight = np.array([[0, 4000, 0]] * 4, np.float32)
    (logits,) = run(head_of(tmp_path, linear("Softmax", weight=weight)), {"x": np.ones((1, 4), np.float32)})
    np.testing.assert_allclose(logits, np.log([[TINY, 1, TINY]]), rtol=1e-6)


def test_wide_logits_are_narrowed(tmp_path):
    """float64 scores are cast and otherwise left alone."""
    (logits,) = run(head_of(tmp_path, linear(dtype="float64")), {"x": X.astype(np.float64)})
    assert logits.dtype == np.float32


def test_versions_are_kept(tmp_path):
    """IR and operator versions are the model's own, even where a logarithm is added."""
    model = linear("Softmax", opset=9)
    made = head_of(tmp_path, model).model
    assert (made.ir_version, made.opset_import) == (model.ir_version, model.opset_import)
    onnx.checker.check_model(made)


def test_operators_that_are_too_old_are_refused(tmp_path):
    """What is appended needs version 8."""
    with pytest.raises(BadClassifier, match=r"version 7 of ONNX's operators.*convert_version"):
        head_of(tmp_path, linear("Softmax", opset=7))


def test_names_in_use_are_avoided(tmp_path):
    """A model that happens to use our names is not disturbed."""
    model = linear("Softmax", input="exit_log")
    head = head_of(tmp_path, model)
    assert head.logits == "exit_log_2"
    assert run(head, {"exit_log": X})[0].shape == (5, 3)


def test_a_member_adds_to_the_sum_and_says_the_mean(tmp_path):
    """The third of four: log of the mean over three, and the sum handed on."""
    head = head_of(tmp_path, linear(), Member(3, is_last=False))
    before = np.full((5, 3), 2 / 3, np.float32)
    logits, total = run(head, {"x": X, head.sum_read: before})
    (own,) = run(head_of(tmp_path, linear()), {"x": X})
    np.testing.assert_allclose(total, before + softmax(own), atol=1e-6)
    np.testing.assert_allclose(np.exp(logits), (before + softmax(own)) / 3, atol=1e-6)
    assert head_of(tmp_path, linear(), Member(2, is_last=True)).sum_written is None


def test_a_row_at_a_time_stays_so(tmp_path):
    """What is added to a model of one row says one row too."""
    head = head_of(tmp_path, linear("Softmax", shape=(1, 4)), Member(1, is_last=False))
    rows = [
        value.type.tensor_type.shape.dim[0].dim_value for value in (*head.model.graph.input, *head.model.graph.output)
    ]
    assert rows == [1, 1, 1, 1]


def test_a_model_of_trees_alone_gets_operators(tmp_path):
    """A graph that imports only ai.onnx.ml can still be given a logarithm."""
    path = export(tmp_path, "forest")
    model = onnx.load(path)
    kept = [one for one in model.opset_import if one.domain]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    made = make_head(read_classifier(save(path, model), macs=1)).model
    assert {one.domain for one in made.opset_import} == {"", "ai.onnx.ml"}
    assert onnxruntime.InferenceSession(made.SerializeToString()).get_outputs()[0].type == "tensor(float)"
