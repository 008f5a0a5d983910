import numpy as np
import pytest

from anytime.model_store import preprocess
from anytime.model_store.manifest import DataSet, Input, Preprocess, Provenance
from anytime.training.attach import Inputs, NetworkInput
from anytime.training.data import read_data
from anytime.training.errors import BadLabel, BadOption, DataMisfit, DataUnknown
from anytime.training.evaluation.held_out import match_labels, read_held_out
from anytime.training.examples import load_arrays, read_loose
from tests.policy.conftest import make_manifest
from tests.training.data.official_files import class_tree, pixels, png, write_files

SPEC = Preprocess(channels="rgb", resize=(8, 8), mean=(0.5,), std=(0.25,))


def manifest(dtype="float32", spec=SPEC, labels=("cat", "dog"), **provenance):
    """A bundle of pictures, 8 x 8."""
    shape = ("batch", 3, 8, 8) if spec is None or spec.layout == "chw" else ("batch", 8, 8, 3)
    entry = Input(name="image", dtype=dtype, shape=shape, preprocess=spec)
    changed = {"inputs": (entry,), "labels": tuple(labels), "provenance": Provenance(**provenance)}
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
    found = read_held_out(str(folder), bundle)
    row_shape = bundle.inputs[0].shape[1:]
    sent = [
        preprocess(path.read_bytes(), spec, dtype, row_shape, 10_000)[0].tobytes() for path in folder.rglob("*.png")
    ]
    made = found.test.rows.take(np.arange(len(found.test.label)))["image"]
    assert (made.dtype, made.shape) == (np.dtype(dtype), (4, *row_shape))
    assert len({one.tobytes() for one in made} & set(sent)) == 4


def test_the_bundles_seed_cuts_the_rows(folder):
    """As its training did: calibration rows are those of ``read_data`` by this seed."""
    for seed in (3, 4):
        found = read_held_out(str(folder), manifest(seed=seed))
        wanted = read_data("folder", folder, seed=seed, preprocess=SPEC).calibration
        everything = np.arange(len(wanted))
        np.testing.assert_array_equal(found.calibration.rows.take(everything)["image"], wanted.inputs(everything))


def test_so_many_rows_are_drawn_at_random(folder):
    """Of each split, the same again, with their own labels."""
    whole = read_held_out(str(folder), manifest(seed=1))
    some = read_held_out(str(folder), manifest(seed=1), rows=3)
    rows = [one.tobytes() for one in whole.test.rows.take(np.arange(4))["image"]]
    drawn = [rows.index(one.tobytes()) for one in some.test.rows.take(np.arange(3))["image"]]
    assert len(set(drawn)) == 3
    assert some.test.label.tolist() == whole.test.label[drawn].tolist()
    assert len(read_held_out(str(folder), manifest(), rows=99).test.label) == 4
    with pytest.raises(BadOption, match="0 rows"):
        read_held_out(str(folder), manifest(), rows=0)


def test_arrays_are_taken_too(tmp_path):
    """From a file, for bundles that take no pictures."""
    rows, label = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])
    np.savez(tmp_path / "rows.npz", input=rows, label=label, split=["calibration"] * 2 + ["test"] * 4)
    found = read_held_out(str(tmp_path / "rows.npz"), make_manifest())
    assert (found.calibration.label.tolist(), found.test.label.tolist()) == ([0, 1], [2, 0, 1, 2])
    np.testing.assert_array_equal(found.test.rows.take(np.array([1]))["input"], rows[3:4])
    with pytest.raises(BadOption, match="does not say how pictures become inputs; give an .npz file"):
        read_held_out("digits", make_manifest())


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
    plain, turned = (read_held_out(str(folder), manifest(labels=order)) for order in (("cat", "dog"), ("dog", "cat")))
    assert turned.test.label.tolist() == (1 - plain.test.label).tolist()


def picture(height, width, seed):
    return png(pixels(1, height, width, 3, seed)[0])


@pytest.fixture
def loose(tmp_path):
    """Twenty-four pictures of 16 x 16 in no folders, two of them alike, and a file of their labels."""
    names = {f"{number}.png": picture(16, 16, seed=max(number, 1)) for number in range(24)}
    (tmp_path / "labels.csv").write_text("".join(f"{number}.png,{number // 12}\n" for number in range(24)))
    return write_files(tmp_path / "loose", names)


def test_loose_pictures_have_their_labels_in_a_file(loose):
    """As for attach: each row has the class index of its picture, whatever the classes are called."""
    found = read_held_out(str(loose), manifest(labels=("1", "0")), labels=loose.parent / "labels.csv")
    assert (len(found.calibration), len(found.test)) == (4, 5)
    rows = {}
    for number in range(24):
        sent = preprocess((loose / f"{number}.png").read_bytes(), SPEC, "float32", (3, 8, 8), 10_000)
        rows[sent.tobytes()] = number // 12
    for part in (found.calibration, found.test):
        made = part.rows.take(np.arange(len(part)))["image"]
        assert [rows[one.tobytes()] for one in made] == part.label.tolist()
    assert found.notes == (
        "the bundle does not say on which rows it was trained; some of these may be among them",
        "1 row is a repeat, equal rows in one part",
    )
    with pytest.raises(BadLabel, match="holds pictures without labels; give a file of lines"):
        read_held_out(str(loose), manifest())


@pytest.mark.parametrize("knew_labels", [True, False])
def test_loose_pictures_are_cut_as_they_were(loose, knew_labels):
    """Found by their hash, whether exits learned from the labels or imitated the network; else it is said."""
    labels = loose.parent / "labels.csv"
    made = read_loose(loose, SPEC, labels=labels if knew_labels else None, classes=("cat", "dog"), seed=7)
    bundle = manifest(seed=7, data=DataSet(name=made.name, sha256=made.sha256))
    found = read_held_out(str(loose), bundle, labels=labels)
    assert found.notes == ("1 row is a repeat, equal rows in one part",)
    for now, then in ((found.calibration, made.calibration), (found.test, made.test)):
        everything = np.arange(len(then))
        np.testing.assert_array_equal(now.rows.take(everything)["image"], then.inputs(everything))
        assert now.label.tolist() == [int(then.part.pictures.names[row].split(".")[0]) // 12 for row in then.rows]
    (loose / "23.png").write_bytes(picture(16, 17, seed=23))
    assert (
        "these rows, or how they are cut, are not those of" in read_held_out(str(loose), bundle, labels=labels).notes[0]
    )


def test_a_file_of_labels_outranks_folders(folder):
    """Pictures in two folders are loose ones too, where a file says the class of each."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    labels = folder.parent / "labels.csv"
    labels.write_text("".join(f"{name},1\n" for name in names))
    stated = DataSet(name="pets", sha256="0" * 64)
    found = read_held_out(str(folder), manifest(seed=0, data=stated), labels=labels)
    assert set(found.calibration.label.tolist()) == set(found.test.label.tolist()) == {1}


def test_arrays_are_cut_as_they_were(tmp_path):
    """Found by their hash, with labels or without; of other rows, or where nothing is known, halves and a word on it."""
    rows = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    rows[20:30] = rows[:10]
    np.savez(tmp_path / "rows.npz", input=rows, label=np.arange(40) % 3)
    np.savez(tmp_path / "bare.npz", input=rows)
    inputs = Inputs((NetworkInput("input", "float32", ("batch", 4)),), {}, one_row=False)
    for name in ("rows.npz", "bare.npz"):
        made = load_arrays(tmp_path / name, inputs, 3, labelled=False).examples(3)
        stated = DataSet(name=name, sha256=made.data["sha256"])
        bundle = make_manifest().model_copy(update={"provenance": Provenance(seed=3, data=stated)})
        found = read_held_out(str(tmp_path / "rows.npz"), bundle)
        assert found.notes == ("10 rows are repeats, equal rows in one part",)
        for now, then in ((found.calibration, made.calibration), (found.test, made.test)):
            assert now.rows.key == then.rows.key
    for provenance, said in (
        (Provenance(), "does not say on which rows"),
        (Provenance(seed=4, data=DataSet(name="rows.npz", sha256=stated.sha256)), "these rows, or how they are cut"),
        (Provenance(seed=3, data=DataSet(name="rows.npz")), "with no hash told"),
    ):
        found = read_held_out(str(tmp_path / "rows.npz"), make_manifest().model_copy(update={"provenance": provenance}))
        assert said in found.notes[0] and len(found.calibration) + len(found.test) == 40
        halves = [{row.tobytes() for row in part.rows.take(np.arange(len(part)))["input"]}
                  for part in (found.calibration, found.test)]  # fmt: skip
        assert not halves[0] & halves[1]


def test_a_split_that_the_file_says_is_held_against_the_bundle(tmp_path):
    """Its word is taken; where the bundle was made from these rows cut otherwise, or nobody knows, that is told."""
    rows = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    split = np.repeat(["train", "calibration", "test"], 10)
    inputs = Inputs((NetworkInput("input", "float32", ("batch", 4)),), {}, one_row=False)
    path = tmp_path / "rows.npz"
    np.savez(path, input=rows, label=np.arange(30) % 3, split=split)
    known = DataSet(name=path.name, sha256=load_arrays(path, inputs, 3).examples().data["sha256"])
    bundle = make_manifest().model_copy(update={"provenance": Provenance(data=known)})
    assert read_held_out(str(path), bundle).notes == ()
    assert "does not say on which rows" in read_held_out(str(path), make_manifest()).notes[0]
    for other in (split[::-1], np.where(split == "train", "test", split)):
        np.savez(path, input=rows, label=np.arange(30) % 3, split=other)
        found = read_held_out(str(path), bundle)
        assert "these rows, or how they are cut, are not those of" in found.notes[0]
        assert len(found.test) == (other == "test").sum()


def test_labels_of_arrays_may_lie_in_a_file(tmp_path):
    """A line for each row, instead of the file's own; a wrong number of lines is told, and so is what means nothing."""
    rows = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.savez(tmp_path / "rows.npz", input=rows, split=["calibration"] * 2 + ["test"] * 4)
    path = tmp_path / "labels.txt"
    path.write_text("2\n1\n0\n1\n2\n0\n")
    assert read_held_out(str(tmp_path / "rows.npz"), make_manifest(), labels=path).test.label.tolist() == [0, 1, 2, 0]
    path.write_text("2\n1\n")
    with pytest.raises(BadLabel, match=r"shape \(2,\); wanted 6 whole numbers, one per row"):
        read_held_out(str(tmp_path / "rows.npz"), make_manifest(), labels=path)
    with pytest.raises(BadOption, match="a folder of data sets is given .* means nothing for"):
        read_held_out(str(tmp_path / "rows.npz"), make_manifest(), labels=path, folder=tmp_path)
    with pytest.raises(BadOption, match="a file of labels is given .* means nothing for digits"):
        read_held_out("digits", manifest(), labels=path)


def test_doubts_are_told(folder):
    """Unless the bundle says by a hash that it was made from just this data by just this seed."""
    found = read_data("folder", folder, seed=2, preprocess=SPEC)
    known = DataSet(name=found.name, sha256=found.sha256)
    assert read_held_out(str(folder), manifest(seed=2, data=known)).notes == ()
    for provenance, said in (
        ({}, "does not say on which rows"),
        ({"seed": 2, "data": DataSet(name="other", sha256="0" * 64)}, "was made from 'other'"),
        ({"seed": 2, "data": DataSet(name=found.name)}, "with no hash told"),
        ({"seed": 3, "data": known}, "these rows, or how they are cut, are not those"),
    ):
        assert said in read_held_out(str(folder), manifest(**provenance)).notes[0]


def test_an_unknown_name_is_told():
    """With the nearest that is known."""
    with pytest.raises(DataUnknown, match="did you mean 'digits'"):
        read_held_out("digit", manifest())
