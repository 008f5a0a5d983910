import numpy as np
import pytest

from anytime.training.errors import BadClassifier
from anytime.training.probe import run_random, tell_kind
from tests.training.classifiers import linear


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[0.25, 0.75], [1, 0]], "probabilities"),
        ([[0.2501, 0.75], [1, 0]], "probabilities"),
        ([[-0.1, 1.1]], "logits"),
        ([[3, 4]], "logits"),
        ([[0.5, 0.5], [0.4, 0.61]], "neither"),
    ],
)
def test_probabilities_are_shares_of_one(rows, kind):
    """Each row sums to 1 and no entry is below 0; shares of something else might be either."""
    if kind == "neither":
        with pytest.raises(BadClassifier, match=r"net gives numbers in 0..1 that do not sum to 1"):
            tell_kind(np.array(rows, np.float32), "net")
    else:
        assert tell_kind(np.array(rows, np.float32), "net") == kind


@pytest.mark.parametrize("one_row", [False, True])
def test_a_model_is_run_on_rows_it_can_take(one_row):
    """All at once, or one by one where its row axis is fixed; the scores are the same."""
    model = linear(shape=(1 if one_row else "batch", 4))
    got = run_random(model, None, ("x", "float32", (4,)), one_row=one_row, said="net")
    np.testing.assert_allclose(
        got, run_random(linear(), None, ("x", "float32", (4,)), one_row=False, said="n"), rtol=1e-6
    )
    assert got.shape == (4, 3)
