"""The demo's two classifiers: trained by scikit-learn, exported as ONNX that takes pictures."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
from onnx import helper

from anytime.training.errors import ExtraMissing

HIDDEN = {"small": (8,), "large": (256, 128)}
"""Units of each hidden layer."""
INPUT = "image"
_INTERRUPTED = "Training interrupted"
"""How the warning begins that scikit-learn makes of a KeyboardInterrupt."""


def check_extra() -> None:
    """Raise ``ExtraMissing`` where what trains and exports is not installed."""
    try:
        import skl2onnx
        import sklearn
    except ImportError as error:
        raise ExtraMissing(
            f"the demo trains with scikit-learn and exports with skl2onnx, and one is missing ({error}); "
            f"install both: pip install 'anytime-serving[train]'"
        ) from error
    assert skl2onnx and sklearn


def train_digits(rows: np.ndarray, label: np.ndarray, hidden: tuple[int, ...], seed: int) -> onnx.ModelProto:
    """A multilayer perceptron fitted to rows (rows, channels, height, width) and their labels (rows,), as ONNX."""
    from skl2onnx import to_onnx
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    flat = rows.reshape(len(rows), -1)
    network = MLPClassifier(hidden, max_iter=200, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):  # matrices this small gain nothing from threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are the budget, not a failure
        warnings.filterwarnings("error", _INTERRUPTED, UserWarning)
        try:
            network.fit(flat, label)
        except UserWarning as warning:  # scikit-learn would go on with a network that is half trained
            raise KeyboardInterrupt from warning
    return take_pictures(to_onnx(network, flat[:1], options={"zipmap": False}), rows.shape[1:])


def take_pictures(model: onnx.ModelProto, row_shape: tuple[int, ...]) -> onnx.ModelProto:
    """The model of flat rows (rows, n), changed in place to take rows of ``row_shape`` with n elements."""
    graph = model.graph
    flat = graph.input[0].name
    graph.node.insert(0, helper.make_node("Flatten", [INPUT], [flat], name="flatten"))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", *row_shape]))
    return model
