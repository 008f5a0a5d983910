import signal
import sys
import threading

import numpy as np
import onnxruntime
import pytest
from sklearn.neural_network import MLPClassifier

from anytime.training.digit_models import INPUT, check_extra, train_digits
from anytime.training.errors import ExtraMissing
from tests.training.classifiers import digits


def test_a_network_takes_pictures():
    """Rows of (1, 8, 8), flattened inside; what it says is what scikit-learn says."""
    rows, label = (part[:200] for part in digits())
    model = train_digits(rows.reshape(-1, 1, 8, 8), label, (4,), 0)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    said = session.run(["probabilities"], {INPUT: rows[:5].reshape(-1, 1, 8, 8)})[0]
    with pytest.warns(UserWarning, match="hasn't converged"):
        twin = MLPClassifier((4,), max_iter=200, random_state=0).fit(rows, label)
    np.testing.assert_allclose(said, twin.predict_proba(rows[:5]), atol=1e-4)


@pytest.mark.parametrize("package", ["sklearn", "skl2onnx"])
def test_a_missing_package_is_named(monkeypatch, package):
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissing, match=rf"{package}.*pip install 'anytime-serving\[train\]'"):
        check_extra()


def test_an_interrupt_is_not_swallowed():
    """scikit-learn ends a fit early at Ctrl-C and carries on; the command must not."""
    rows, label = digits()
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        train_digits(rows.reshape(-1, 1, 8, 8), label, (256, 256, 256), 0)
    timer.join()
