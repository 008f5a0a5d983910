import numpy as np
import pytest

from anytime.policy import Trace
from anytime.training.calibration.gain import gain_table
from tests.policy.conftest import make_manifest

NUMBERS = np.random.default_rng(3)


def traced(logits, label):
    return Trace({"logits": np.asarray(logits, np.float32)}, np.ones((len(label), 2)), np.asarray(label))


def drawn(rows, exits):
    """Logits that are surer the deeper, and labels that they know something of."""
    logits = NUMBERS.standard_normal((rows, exits, 3)) * np.arange(1, exits + 1)[:, np.newaxis]
    return traced(logits, (logits.sum(axis=1) + NUMBERS.standard_normal((rows, 3))).argmax(axis=1))


def test_a_share_is_counted_as_its_name_says():
    """Against a plain count of rows, bin by bin and exit by exit; below the exit itself stands 0."""
    manifest, trace = make_manifest(3, temperature=[[2.0], [1.0], [0.5]]), drawn(2000, 3)
    table = gain_table(manifest, trace)
    edges, right = np.array(table["edges"]), trace.outputs["logits"].argmax(axis=2) == trace.label[:, np.newaxis]
    assert len(edges) == 10
    for k, temperature in enumerate((2.0, 1.0, 0.5)):
        scaled = np.exp(trace.outputs["logits"][:, k].astype(float) / temperature)
        said = scaled.max(axis=1) / scaled.sum(axis=1)
        for bin, edge in enumerate(edges):
            rows = (said >= edge) & (said < (edges[bin + 1] if bin + 1 < len(edges) else 2.0))
            assert table["accuracy"][k][bin][:k] == [0.0] * k
            if rows.sum() >= 20:
                assert table["accuracy"][k][bin][k:] == pytest.approx(right[rows, k:].mean(axis=0).tolist())


def test_bins_hold_as_many_rows_of_the_early_exits():
    """The last exit's confidence decides nothing and moves no edge."""
    trace = drawn(1000, 2)
    edges = gain_table(make_manifest(2), trace)["edges"]
    said = np.exp(trace.outputs["logits"][:, 0].astype(float))
    said = said.max(axis=1) / said.sum(axis=1)
    counts = np.histogram(said, [*edges, 1.1])[0]
    assert counts.tolist() == [100] * 10


def test_few_rows_are_told_by_their_neighbours():
    """A bin of 2 rows by the 4 nearest in confidence; with too few rows in all, by all."""
    logits = [[[share, 0, 0]] for share in range(1, 11)]
    label = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    table = gain_table(make_manifest(1), traced(logits, label), bins=5, fewest=4)
    assert [row[0] for row in table["accuracy"][0]] == [0.0, 0.25, 0.75, 1.0, 1.0]
    everything = gain_table(make_manifest(1), traced(logits, label), bins=5, fewest=100)
    assert [row[0] for row in everything["accuracy"][0]] == [0.6] * 5


def test_rows_that_say_the_same_share_a_bin():
    """Edges rise strictly, so there may be fewer."""
    table = gain_table(make_manifest(2), traced([[[5, 0, 0]] * 2] * 30, [0] * 30))
    assert len(table["edges"]) == 2
    assert table["accuracy"] == [[[1.0, 1.0]] * 2, [[0.0, 1.0]] * 2]
