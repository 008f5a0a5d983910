import numpy as np
import pytest

from anytime.model_store import Store
from anytime.policy import load_trace
from anytime.service.engine.runner import Runner
from anytime.training.record import Recorder, join, record
from tests.bundles import BUNDLES, residual
from tests.doubles import run_stages


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_a_trace_holds_what_every_head_says(stress_store, module, tmp_path):
    """On all six stress bundles, as the slow and obvious loop has it; NaN where an exit lacks the head; and it is stored."""
    bundle = Store(stress_store).open(module.NAME)
    inputs = module.inputs(4)
    trace = record(bundle, inputs)
    for exit, said in enumerate(run_stages(bundle, inputs)):
        for name, recorded in trace.outputs.items():
            wanted = said.get(name, np.full((4, 1), np.nan))
            np.testing.assert_array_equal(recorded[:, exit].reshape(4, -1), wanted.astype(np.float32))
    assert trace.ms.shape == (4, len(bundle.flow.nodes))
    assert (trace.ms > 0).all()
    assert (trace.label == -1).all()
    trace.save(tmp_path / "trace.npz")
    assert load_trace(tmp_path / "trace.npz", bundle.manifest).rows == 4


def test_labels_are_kept(stress_store):
    """As int64, for whoever measures."""
    bundle = Store(stress_store).open(BUNDLES[0].NAME)
    assert record(bundle, BUNDLES[0].inputs(2), np.array([1, 0], np.uint8)).label.tolist() == [1, 0]


def test_rows_may_come_in_pieces(stress_store):
    """The joined pieces say what one recording says; only the times are their own."""
    bundle = Store(stress_store).open(BUNDLES[0].NAME)
    inputs, label = BUNDLES[0].inputs(5), np.array([0, 1, 0, 1, 0])
    recorder = Recorder(bundle)
    pieces = [recorder.record({name: one[part] for name, one in inputs.items()}, label[part])
              for part in (slice(0, 2), slice(2, 5))]  # fmt: skip
    joined, whole = join(pieces), record(bundle, inputs, label)
    assert joined.label.tolist() == whole.label.tolist()
    assert joined.ms.shape == whole.ms.shape
    for name, values in whole.outputs.items():
        np.testing.assert_array_equal(joined.outputs[name], values)


def test_a_trace_is_the_service_s_to_the_bit(tmp_path):
    """Of maps laid out for ONNX Runtime too: a threshold from a trace parts served rows as it parted the trace's."""
    bundle = residual.build(tmp_path / "bundle")
    runner, state = Runner(bundle), residual.image()
    trace = record(bundle, {"image": state})
    for exit in range(2):
        (state, logits), _ = runner.prepare(f"stage{exit + 1}.onnx", ["y", "logits"])({"x": state})
        np.testing.assert_array_equal(trace.outputs["logits"][:, exit], logits)
