import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anytime.model_store.manifest import Preprocess
from anytime.training.data.normalise import Normalisation, measure
from anytime.training.data.official import Official, Part
from anytime.training.data.pictures import Loaded
from anytime.training.data.repeats import Repeats
from anytime.training.data.split import cut, split_data
from anytime.training.errors import BadOption
from tests.training.data.official_files import pixels

SPEC = Preprocess(channels="rgb")


def part(labels, seed=0):
    return Part(Loaded(pixels(len(labels), 4, 4, 3, seed), SPEC), np.array(labels, np.int64))


def keys_of(split):
    keys = split.part.pictures.keys()
    return {keys[row] for row in split.rows}


@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=80).map(np.array),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
    repeats=st.lists(st.integers(0, 20), min_size=80, max_size=80),
)
def test_a_cut_takes_its_share_of_every_class_and_parts_no_repeats(labels, share, seed, repeats):
    """No row twice, none left out, the same for the same seed; every class within a row, and never all of one."""
    kept, taken = cut(labels, share, seed)
    assert sorted([*kept, *taken]) == list(range(len(labels)))
    assert list(taken) == sorted(taken)
    for one in np.unique(labels):
        count, got = (labels == one).sum(), (labels[taken] == one).sum()
        assert got <= count - 1
        assert abs(got - count * share) <= 1 or got == count - 1
    np.testing.assert_array_equal(cut(labels, share, seed)[1], taken)
    keys = [bytes([one]) for one in repeats[: len(labels)]]
    kept, taken = cut(labels, share, seed, keys)
    assert sorted([*kept, *taken]) == list(range(len(labels)))
    assert not {keys[row] for row in kept} & {keys[row] for row in taken}
    assert set(labels[kept]) == set(labels)


def test_another_seed_cuts_elsewhere():
    """Ten per cent of each class, exactly where that is whole."""
    labels = np.repeat(np.arange(10), 50)
    first, second = cut(labels, 0.1, 0)[1], cut(labels, 0.1, 1)[1]
    assert np.bincount(labels[first]).tolist() == np.bincount(labels[second]).tolist() == [5] * 10
    assert set(first) != set(second)


def test_calibration_is_cut_from_train_and_the_published_test_stays():
    """Mean and std are those of what is trained on, and the bundle is told of them and of the size."""
    official = Official(part([0, 1] * 50), part([0, 1] * 10, seed=1), ("cat", "dog"))
    data = split_data("pets", official, 0.2, seed=3, augmentation="crop")
    assert [len(split) for split in data.splits] == [80, 20, 20]
    assert [split.name for split in data.splits] == ["train", "calibration", "test"]
    assert np.bincount(data.calibration.labels).tolist() == [10, 10]
    assert set(data.train.rows) | set(data.calibration.rows) == set(range(100))
    np.testing.assert_array_equal(data.test.rows, np.arange(20))
    assert data.train.normalisation == measure(official.train.pictures, data.train.rows)
    assert (data.preprocess.mean, data.preprocess.resize) == (data.train.normalisation.mean, (4, 4))
    assert (data.repeats, data.augmentation) == (Repeats(0, 0), "crop")


def test_without_a_test_part_one_is_cut_that_no_seed_moves():
    """So that runs of several seeds are measured on the same pictures."""
    official = Official(part([0, 1] * 50), None, ("cat", "dog"))
    one, other = (split_data("pets", official, 0.25, seed) for seed in (1, 2))
    assert [len(split) for split in one.splits] == [60, 20, 20]
    np.testing.assert_array_equal(one.test.rows, other.test.rows)
    assert set(one.calibration.rows) != set(other.calibration.rows)
    assert sorted(np.concatenate([split.rows for split in one.splits])) == list(range(100))


def test_repeated_pictures_stay_on_one_side():
    """In every cut that is made here, even where each is there twice, and whatever their labels."""
    train = part([0, 1] * 50)
    train.pictures.images[50:] = train.pictures.images[:50]
    train.pictures.images[1] = train.pictures.images[0]
    data = split_data("pets", Official(train, None, ("cat", "dog")), 0.25, 0)
    assert [len(split) for split in data.splits] == [60, 20, 20]
    groups = [keys_of(split) for split in data.splits]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert data.repeats == Repeats(50, 0) and "50 rows are repeats" in data.provenance()["split"]


def test_repeats_across_published_parts_are_counted():
    """They stay, as others measure with them too; the count is there to be reported."""
    train, test, calibration = part([0, 1] * 20), part([0, 1] * 5, seed=1), part([0, 1] * 5, seed=2)
    test.pictures.images[3] = train.pictures.images[7]
    test.pictures.images[4] = calibration.pictures.images[0]
    calibration.pictures.images[9] = train.pictures.images[8]
    data = split_data("pets", Official(train, test, ("cat", "dog"), calibration), 0.1, 0)
    assert [len(split) for split in data.splits] == [40, 10, 10]
    assert data.repeats == Repeats(3, 3)
    assert "3 rows are repeats, 3 of them held out although an earlier part has them" in data.provenance()["split"]


def test_constants_come_before_measuring():
    """The set's own, and what the caller states before those."""
    own, stated = Normalisation((0.1,) * 3, (0.2,) * 3), Normalisation((0.3,) * 3, (0.4,) * 3, "hwc")
    official = Official(part([0, 1] * 20), None, ("cat", "dog"), normalisation=own)
    assert split_data("pets", official, 0.1, 0).train.normalisation == own
    data = split_data("pets", official, 0.1, 0, normalisation=stated)
    assert (data.preprocess.std, data.input_shape) == ((0.4,) * 3, (4, 4, 3))


def test_too_few_pictures_are_an_error():
    """A calibration split of nothing calibrates nothing."""
    with pytest.raises(BadOption, match="a share of 0.1 of 2 pictures leaves none to hold out"):
        split_data("pets", Official(part([0, 1]), part([0, 1], seed=1), ("cat", "dog")), 0.1, 0)
