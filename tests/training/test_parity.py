import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from anytime.model_store import Store
from anytime.training.errors import DataMisfit, ParityBroken
from anytime.training.parity import (
    STAGES,
    WHOLE,
    Difference,
    apart,
    batch_sizes,
    compare_whole,
    inputs_of,
    require_parity,
)
from anytime.training.whole import whole_network
from tests.bundles import BUNDLES, spelled


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_the_stress_bundles_agree(stress_store, module):
    """Every output of every exit, at 1, 3 and 8 rows: stages together and alone, whole network and stages."""
    bundle = Store(stress_store).open(module.NAME)
    found = compare_whole(bundle, whole_network(bundle), module.inputs(8))
    outputs = {(head.stage, name) for head in bundle.flow.heads for _, name in head.outputs}
    assert {(one.between, one.rows) for one in found} == {
        (kind, rows) for kind in (STAGES, WHOLE) for rows in (1, 3, 8)
    }
    assert {(one.exit, one.output) for one in found} == outputs and len(found) == 6 * len(outputs)
    assert max(one.apart for one in found) <= module.TOLERANCE
    require_parity(found)


def test_another_network_is_refused(stress_store):
    """One weight off by a thousandth is told by its exits, and the refusal names the largest difference."""
    bundle = Store(stress_store).open("eann")
    model = whole_network(bundle)
    weight = next(one for one in model.graph.initializer if one.name.startswith("stage_5.head/"))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(1e-3), weight.name))
    found = compare_whole(bundle, model, BUNDLES[3].inputs(8))
    assert {one.exit for one in found if not one.is_small} == {5}
    assert all(one.is_small for one in found if one.between == STAGES)
    with pytest.raises(
        ParityBroken, match=r"whole network and stages are .* apart at exit 5, . rows together; wanted at most"
    ):
        require_parity(found)


def test_rows_that_look_at_each_other_are_told(tmp_path):
    """A graph whose answer depends on its company differs from the same rows alone."""
    bundle = spelled.build(tmp_path / "bundle")
    model = onnx.load(bundle.path("head2.onnx"))
    whole = whole_network(bundle)
    node = onnx.helper.make_node("ReduceMax", ["x", "rows"], ["most"], keepdims=1)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "rows"))
    model.graph.node.insert(0, node)
    for other in model.graph.node[1:]:
        other.input[:] = ["most" if name == "x" else name for name in other.input]
    last = model.graph.node[-1]
    last.output[0] = "said"
    model.graph.node.append(onnx.helper.make_node("Sub", ["x", "x"], ["nothing"]))
    model.graph.initializer.append(numpy_helper.from_array(np.arange(3), "columns"))
    model.graph.node.append(onnx.helper.make_node("Gather", ["nothing", "columns"], ["zeros"], axis=1))
    model.graph.node.append(onnx.helper.make_node("Add", ["said", "zeros"], ["y"]))
    bundle.path("head2.onnx").write_bytes(model.SerializeToString())
    rows = [spelled.row(spelled.sure(k), spelled.sure(k), spelled.sure(k)) for k in (0, 1, 2)]
    found = compare_whole(bundle, whole, spelled.rows(*rows))
    assert {(one.exit, one.rows) for one in found if one.between == STAGES and not one.is_small} == {(2, 3)}


def test_one_row_at_a_time(tmp_path):
    """Where a graph fixes its rows at 1 nothing else is tried."""
    bundle = spelled.build(tmp_path / "bundle", head_rows=1)
    inputs = inputs_of(bundle)
    found = compare_whole(bundle, whole_network(bundle), inputs.random(inputs.typical(1)))
    assert inputs.one_row and {one.rows for one in found} == {1}


def test_rows_that_do_not_fit(stress_store):
    """They are refused by name before anything runs."""
    bundle = Store(stress_store).open("eann")
    with pytest.raises(DataMisfit, match="lack the input 'input'"):
        compare_whole(bundle, whole_network(bundle), {})


@pytest.mark.parametrize(("rows", "one_row", "wanted"), [
    (8, False, (1, 3, 8)), (90, False, (1, 3, 8)), (5, False, (1, 3, 5)), (2, False, (1, 2)), (8, True, (1,)),
])  # fmt: skip
def test_batch_sizes(rows, one_row, wanted):
    """As many as there are rows for."""
    assert batch_sizes(rows, one_row=one_row) == wanted


def test_apart():
    """Absolute below 1, relative above; no number is far from every number, an infinity only from others."""
    assert apart(np.float32([0.1, 0.2]), np.float32([0.1, 0.3])) == pytest.approx(0.1)
    assert apart(np.float32([100.0, 0.0]), np.float32([100.0, 1.0])) == pytest.approx(0.01)
    assert apart(np.float32([-np.inf, 1.0]), np.float32([-np.inf, 1.0])) == 0.0
    for other in (np.float32([np.nan, 1.0]), np.float32([np.inf, 1.0]), np.zeros((2, 2), np.float32)):
        assert not Difference("a and b", 1, 1, "logits", apart(np.float32([0.0, 1.0]), other)).is_small
    with pytest.raises(ParityBroken, match=r"are nan apart at exit 2 \(stop\)"):
        require_parity([Difference("a", 1, 1, "logits", 1.0), Difference("a", 3, 2, "stop", float("nan"))])
