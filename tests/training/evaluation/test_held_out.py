import numpy as np
import pytest

from anytime.model_store import preprocess
from anytime.model_store.manifest import DataSet, Input, Preprocess, Provenance
from anytime.training.data import read_data
from anytime.training.errors import BadOption, DataMisfit, DataUnknown
from anytime.training.evaluation.held_out import match_labels, read_held_out
from tests.policy.conftest import make_manifest
from tests.training.data.official_files import class_tree, write_files

SPEC = Preprocess(channels="rgb", resize=(8, 8), mean=(0.5,), std=(0.25,))


def manifest(dtype="float32", spec=SPEC, labels=("cat", "dog"), **provenance):
    """A bundle of pictures, 8 x 8."""
    shape = ("batch", 3, 8, 8) if spec is None or spec.layout == "chw" else ("batch", 8, 8, 3)
    entry = Input(name="image", dtype=dtype, shape=shape, preprocess=spec)
    changed = {"inputs": (entry,), "labels": labels, "provenance": Provenance(**provenance)}
    return make_manifest().model_copy(update=changed)


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures of 16 x 16 in two classes."""
    return write_files(tmp_path / "pets", class_tree({"cat": 10, "dog": 10}))


@pytest.mark.parametrize(
    ("dtype", "layout"), [("float32", "chw"), ("float16", "hwc"), ("uint8", "chw"), ("uint8", "hwc")]
)
def test_a_picture_becomes_what_a_request_with_it_would(folder, dtype, layout):
    """By the bundle's own preprocessing, to the bit."""
    numbers = {} if dtype == "uint8" else {"mean": SPEC.mean, "std": SPEC.std}
    spec = Preprocess(channels="rgb", resize=(8, 8), layout=layout, **numbers)
    bundle = manifest(dtype, spec)
    found = read_held_out(str(folder), None, bundle)
    row_shape = bundle.inputs[0].shape[1:]
    sent = [
        preprocess(path.read_bytes(), spec, dtype, row_shape, 10_000)[0].tobytes() for path in folder.rglob("*.png")
    ]
    made = found.test.inputs(np.arange(len(found.test.label)))["image"]
    assert (made.dtype, made.shape) == (np.dtype(dtype), (4, *row_shape))
    assert len({one.tobytes() for one in made} & set(sent)) == 4


def test_the_bundles_seed_cuts_the_rows(folder):
    """As its training did: calibration rows are those of ``read_data`` by this seed."""
    for seed in (3, 4):
        found = read_held_out(str(folder), None, manifest(seed=seed))
        wanted = read_data("folder", folder, seed=seed, preprocess=SPEC).calibration
        everything = np.arange(len(wanted))
        np.testing.assert_array_equal(found.calibration.inputs(everything)["image"], wanted.inputs(everything))


def test_so_many_rows_are_drawn_at_random(folder):
    """Of each split, the same again, with their own labels."""
    whole = read_held_out(str(folder), None, manifest(seed=1))
    some = read_held_out(str(folder), None, manifest(seed=1), rows=3)
    rows = [one.tobytes() for one in whole.test.inputs(np.arange(4))["image"]]
    drawn = [rows.index(one.tobytes()) for one in some.test.inputs(np.arange(3))["image"]]
    assert len(set(drawn)) == 3
    assert some.test.label.tolist() == whole.test.label[drawn].tolist()
    assert len(read_held_out(str(folder), None, manifest(), rows=99).test.label) == 4
    with pytest.raises(BadOption, match="0 rows"):
        read_held_out(str(folder), None, manifest(), rows=0)


def test_arrays_are_taken_too(tmp_path):
    """From a file, for bundles that take no pictures."""
    rows, label = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])
    np.savez(tmp_path / "rows.npz", input=rows, label=label, split=["calibration"] * 2 + ["test"] * 4)
    found = read_held_out(str(tmp_path / "rows.npz"), None, make_manifest())
    assert (found.calibration.label.tolist(), found.test.label.tolist()) == ([0, 1], [2, 0, 1, 2])
    np.testing.assert_array_equal(found.test.inputs(np.array([1]))["input"], rows[3:4])
    with pytest.raises(BadOption, match="does not say how pictures become inputs; give an .npz file"):
        read_held_out("digits", None, make_manifest())


def test_labels_are_matched_by_name():
    """Whatever their order, and where the data have fewer; else by order, which is told."""
    assert match_labels(["dog", "cat"], ["cat", "dog"])[0].tolist() == [1, 0]
    assert match_labels(["dog"], ["cat", "dog"])[0].tolist() == [1]
    places, notes = match_labels(["0", "1"], ["nought", "one"])
    assert places.tolist() == [0, 1]
    assert "'0' for 'nought'" in notes[0]
    with pytest.raises(DataMisfit, match="3 labels, such as 'eel', and the bundle 2 others"):
        match_labels(["cat", "dog", "eel"], ["cat", "dog"])


def test_labels_count_as_the_bundles_do(folder):
    """A bundle that lists dogs first finds dogs at 0."""
    plain, turned = (
        read_held_out(str(folder), None, manifest(labels=order)) for order in (("cat", "dog"), ("dog", "cat"))
    )
    assert turned.test.label.tolist() == (1 - plain.test.label).tolist()


def test_doubts_are_told(folder):
    """Unless the bundle says that it was made from just this data by just this seed."""
    found = read_data("folder", folder, seed=2, preprocess=SPEC)
    known = DataSet(name=found.name, sha256=found.sha256)
    assert read_held_out(str(folder), None, manifest(seed=2, data=known)).notes == ()
    for provenance, said in (
        ({}, "does not say on which rows"),
        ({"seed": 2, "data": DataSet(name="other")}, "was made from 'other'"),
        ({"seed": 3, "data": known}, "the splits are not those"),
    ):
        assert said in read_held_out(str(folder), None, manifest(**provenance)).notes[0]


def test_an_unknown_name_is_told():
    """With the nearest that is known."""
    with pytest.raises(DataUnknown, match="did you mean 'digits'"):
        read_held_out("digit", None, manifest())
