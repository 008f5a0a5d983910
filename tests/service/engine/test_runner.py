"""Sessions of ONNX Runtime: one per file, with explicit threads; what goes wrong in one is said without a path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from anytime.model_store import open_bundle
from anytime.model_store.blocked import runnable
from anytime.model_store.errors import GraphMismatch, GraphUnreadable
from anytime.service.engine.runner import Runner, check_outputs
from anytime.service.errors import ModelFailed
from tests.bundles import cascade, residual, spelled
from tests.bundles.spelled import row, sure

TASKS = Path("/proc/self/task")


@pytest.mark.skipif(not TASKS.exists(), reason="native threads are counted in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_explicit_and_sessions_one_per_file(threads, tmp_path):
    """Six stages of one step file and one head file make two sessions, each with the threads asked for less the caller's."""
    folder = cascade.build(tmp_path / "bundle").folder
    program = (
        "import os, sys; from pathlib import Path; from anytime.model_store import open_bundle\n"
        "from anytime.service.engine.runner import Runner\n"
        "bundle = open_bundle(Path(sys.argv[1])); count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = count(); runner = Runner(bundle, int(sys.argv[2])); print(count() - before)"
    )
    command = [sys.executable, "-c", program, str(folder), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert json.loads(done.stdout) == 2 * (threads - 1)


def test_a_call_fetches_what_it_was_prepared_for(spelled_bundle):
    """The outputs come in the order asked for, with seconds that they took."""
    call = Runner(spelled_bundle).prepare("body1.onnx", ["y"])
    x = row(sure(0), sure(1), sure(2))[np.newaxis]
    (y,), seconds = call({"x": x})
    assert np.array_equal(x, y)
    assert seconds > 0.0


@pytest.mark.parametrize(
    "feeds",
    [
        {"x": row(sure(0), sure(0), sure(0), trip=1)[np.newaxis]},
        {"x": np.zeros((1, 4), np.float32)},
        {"x": np.zeros((1, 10), np.float64)},
        {"x": np.zeros(10, np.float32)},
        {},
        {"z": np.zeros((1, 10), np.float32)},
        {"x": "text"},
    ],
    ids=["an index out of bounds", "shape", "dtype", "rank", "missing", "unknown", "no array"],
)
def test_whatever_onnx_runtime_raises_is_model_failed(spelled_bundle, feeds):
    """A failing run raises ``ModelFailed``, on one line, and names no place on this machine."""
    call = Runner(spelled_bundle).prepare("body1.onnx", ["y"])
    with pytest.raises(ModelFailed) as failed:
        call(feeds)
    message = str(failed.value)
    assert "\n" not in message
    assert str(spelled_bundle.folder) not in message
    assert os.sep + "onnxruntime" not in message


def test_a_call_may_be_made_from_many_threads(spelled_bundle):
    """Runs of one session at once do not mix their rows."""
    call = Runner(spelled_bundle).prepare("body1.onnx", ["y"])
    wrong = []

    def work(number: int) -> None:
        x = np.full((1, 10), 100 + number, np.float32)
        wrong.extend(n for n in range(200) if not np.array_equal(call({"x": x})[0][0], x))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_maps_are_laid_out_at_once(tmp_path):
    """A residual stage runs as ``runnable`` gives it; another layout sums in another order, which the last bits tell."""
    bundle = residual.build(tmp_path / "bundle")
    path, x = bundle.path("stage2.onnx"), residual.image()
    outputs, _ = Runner(bundle).prepare("stage2.onnx", ["y"])({"x": x})
    if isinstance(what := runnable(path), Path):
        pytest.skip("it gains nothing on this machine")
    plain = onnxruntime.InferenceSession(path).run(["y"], {"x": x})[0]
    blocked = onnxruntime.InferenceSession(what).run(["y"], {"x": x})[0]
    np.testing.assert_array_equal(outputs[0], blocked)
    np.testing.assert_allclose(outputs[0], plain, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(outputs[0], plain)


def test_what_a_session_was_made_of_is_let_go(tmp_path):
    """Of a graph that was laid out in memory no copy stays beside the session."""
    bundle = residual.build(tmp_path / "bundle")
    Runner(bundle)  # whatever is remembered once
    tracemalloc.start()
    runner = Runner(bundle)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert runner.batches("stage1.onnx")
    assert held < bundle.path("stage1.onnx").stat().st_size / 2


def test_a_file_that_is_gone(tmp_path):
    """It is ``GraphUnreadable`` as any other that cannot be loaded, and names no place on this machine."""
    bundle = residual.build(tmp_path / "bundle")
    bundle.path("stage2.onnx").unlink()
    with pytest.raises(GraphUnreadable, match=r"cannot load stage2\.onnx: .*No such file") as refused:
        Runner(bundle)
    assert str(tmp_path) not in str(refused.value)


def test_a_fixed_row_axis_is_seen(tmp_path):
    """A graph that declares one row does not take batches; one with a symbol does."""
    bundle = spelled.build(tmp_path / "bundle", head_rows=1)
    runner = Runner(bundle)
    assert not runner.batches("head1.onnx")
    assert runner.batches("body1.onnx")


def test_a_file_that_onnx_runtime_refuses(tmp_path):
    """A session that cannot be made is ``GraphUnreadable`` and names the file inside the bundle only."""
    bundle = spelled.build(tmp_path / "bundle")
    opened = open_bundle(bundle.folder)
    (bundle.folder / "head2.onnx").write_bytes(b"no graph")
    with pytest.raises(GraphUnreadable, match=r"^ONNX Runtime cannot load head2\.onnx: ") as refused:
        Runner(opened)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (1, 4)), ("float64", (1, 3)), ("float32", (3,))])
def test_outputs_other_than_promised(dtype, shape):
    """Another dtype, size or rank than the manifest's is a ``GraphMismatch`` that tells both."""
    wrote = [np.zeros((1, 3), np.float32)]
    with pytest.raises(GraphMismatch, match=r"head\.onnx wrote y as float32 \(1, 3\)"):
        check_outputs("head.onnx", ["y"], wrote, [(dtype, shape)])
    assert check_outputs("head.onnx", ["y"], wrote, [("float32", (1, 3))]) is None
