import dataclasses

import numpy as np
import pytest

from anytime.training.attach import Rows, Shrink, cut, features, find_cuts, rows_of
from anytime.training.attach.features import Chain
from anytime.training.errors import BadOption, CacheFailed, DataMisfit
from tests.training.attach.networks import mlp


@pytest.fixture
def network(tmp_path):
    return mlp().read(tmp_path, "y")


def data(rows=10, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, 4)).astype(np.float32)


def counted(inputs, batch_rows=4):
    """The rows, and a list that gets an entry each time they are asked for."""
    asked = []
    rows = rows_of(inputs, batch_rows)

    def batches():
        asked.append(1)
        return rows.batches()

    return Rows(rows.key, rows.count, batches, rows.take), asked


def test_features_are_what_the_pieces_pass_on(network, tmp_path):
    """Of every row in order, whatever the batches; the logits are the network's."""
    pieces = cut(network, find_cuts(network))
    found = features(network, pieces, rows_of({"x": data()}, 4), tmp_path / "cache")
    wanted = Chain(network, pieces).run({"x": data()})
    for got, values in zip((*found.cuts, found.logits), wanted, strict=True):
        assert (got.dtype, got.shape) == (np.float32, values.shape)
        np.testing.assert_allclose(got, values, rtol=1e-5)


def test_features_are_computed_once(network, tmp_path):
    """The same network, cuts and data are read from disk; other ones are not."""
    pieces, home = cut(network, find_cuts(network)), tmp_path / "cache"
    rows, asked = counted({"x": data()})
    first, again = (features(network, pieces, rows, home) for _ in range(2))
    assert (len(asked), first.was_cached, again.was_cached) == (1, False, True)
    assert first.folder == again.folder
    np.testing.assert_array_equal(first.cuts[0], again.cuts[0])
    others = [
        features(network, pieces, rows_of({"x": data(seed=1)}), home),
        features(network, pieces, rows, home, dtype="float16"),
    ]
    assert not any(one.was_cached for one in others)
    assert len({first.folder, *(one.folder for one in others)}) == 3


def test_features_at_fewer_cuts_are_not_computed_again(network, tmp_path):
    """They are read from where all cuts' lie; with another cut, or another dtype, nothing is taken from there."""
    every = find_cuts(network)
    rows, asked = counted({"x": data()})
    whole = features(network, cut(network, every), rows, tmp_path)
    assert len(every) >= 2
    for number, one in enumerate(every):
        part = features(network, cut(network, [one]), rows, tmp_path)
        assert (len(asked), part.was_cached, part.folder) == (1, True, whole.folder)
        np.testing.assert_array_equal(part.cuts[0], whole.cuts[number])
        np.testing.assert_array_equal(part.logits, whole.logits)
    assert not features(network, cut(network, every[:1]), rows, tmp_path, dtype="float16").was_cached
    home = tmp_path / "of one cut"
    features(network, cut(network, every[:1]), rows, home)
    assert not features(network, cut(network, every), rows, home).was_cached
    (whole.folder / "index.json").write_text("{")
    with pytest.raises(CacheFailed, match="remove that folder"):
        features(network, cut(network, every[1:]), rows, tmp_path)


def test_features_may_be_halved_and_shrunk(networks, tmp_path):
    """To half precision, and to a mean over tokens, under a name that the cache knows."""
    network = networks["vit"]
    pieces = cut(network, find_cuts(network)[:2])
    rows = rows_of(network.inputs.random({"batch": 3}))
    mean = Shrink("mean over tokens", lambda values, batch: values.mean(axis=1))
    small = features(network, pieces, rows, tmp_path, dtype="float16", shrink=[mean, None])
    full = features(network, pieces, rows, tmp_path)
    assert [(str(one.dtype), one.shape) for one in small.cuts] == [("float16", (3, 32)), ("float16", (3, 17, 32))]
    np.testing.assert_allclose(small.cuts[0], full.cuts[0].mean(axis=1), atol=2e-3)
    np.testing.assert_array_equal(small.logits, full.logits)
    with pytest.raises(BadOption, match="1 entries of shrink for 2 cuts"):
        features(network, pieces, rows, tmp_path, shrink=[mean])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (rows_of({"x": data().astype(np.float64)}), "input 'x' are float64 and the network takes float32"),
        (rows_of({"x": data()[:, :3]}), r"input 'x' have the shape \[10, 3\] and the network takes \['batch', 4\]"),
        (rows_of({"z": data()}), "have 'z', which is no input"),
        (dataclasses.replace(rows_of({"x": data()}), count=11), "the data have 10 rows and were said to have 11"),
        (dataclasses.replace(rows_of({"x": data()}, 4), count=9), "the data have more rows and were said to have 9"),
        (rows_of({"x": data() * np.inf}), "the network makes infinities or NaN"),
    ],
)
def test_data_that_do_not_fit_leave_nothing(network, tmp_path, rows, message):
    """The message names what was got; the cache's folder stays empty."""
    with pytest.raises(DataMisfit, match=message):
        features(network, cut(network, find_cuts(network)), rows, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_numbers_too_large_for_half_precision_are_an_error(network, tmp_path):
    """Not infinities on disk."""
    with pytest.raises(DataMisfit, match="numbers too large for float16"):
        features(network, cut(network, find_cuts(network)), rows_of({"x": data() * 1e6}), tmp_path, dtype="float16")


def test_rows_of_different_lengths_are_an_error(networks, tmp_path):
    """An array has one shape: pad, and let the mask say so."""
    network = networks["bert"]
    parts = [network.inputs.random({"batch": 2, "sequence": length}) for length in (5, 6)]
    with pytest.raises(DataMisfit, match="pad them to one shape"):
        features(network, cut(network, find_cuts(network)), Rows("two", 4, lambda: parts, lambda chosen: {}), tmp_path)


def test_arrays_need_as_many_rows_each():
    """And one at least."""
    with pytest.raises(DataMisfit, match="wanted one and the same number"):
        rows_of({"a": data(3), "b": data(4)})
    with pytest.raises(DataMisfit, match="wanted one and the same number"):
        rows_of({"a": data(0)})
