"""Whatever a user names as data."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess
from anytime.training.attach import Inputs, NetworkInput
from anytime.training.errors import BadLabel, BadOption, DataMisfit, DataMissing
from anytime.training.examples import gather, read_examples

INPUTS = Inputs((NetworkInput("image", "float32", ("batch", 3, 8, 8)),), {}, one_row=False)
SPEC = Preprocess(channels="rgb", resize=8, crop=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def png(number: int) -> bytes:
    draw = np.random.default_rng(number)
    stream = io.BytesIO()
    Image.fromarray(draw.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def folders(tmp_path):
    """A folder for each of two classes, ten pictures each, not of the network's size."""
    for number in range(20):
        path = tmp_path / "pictures" / ("cat" if number < 10 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return tmp_path / "pictures"


@pytest.fixture
def loose(tmp_path):
    """Twenty pictures in one folder, and a file of labels."""
    (tmp_path / "loose").mkdir()
    for number in range(20):
        (tmp_path / "loose" / f"{number}.png").write_bytes(png(number))
    (tmp_path / "labels.csv").write_text("".join(f"{number}.png,{number % 2}\n" for number in range(20)))
    return tmp_path / "loose"


def test_pictures_become_rows_as_in_a_request(folders):
    """From file to input bit for bit what the service makes of that file; classes are the folders' names."""
    examples = read_examples(str(folders), INPUTS, 2, preprocess=SPEC)
    assert examples.labels == ("cat", "dog") and examples.preprocess["image"]["crop"] == [8, 8]
    wanted = {preprocess(path.read_bytes(), SPEC, "float32", (3, 8, 8), 10**6).tobytes(): path.parent.name == "dog"
              for path in folders.rglob("*.png")}  # fmt: skip
    seen = 0
    for part in (*examples.train, examples.calibration, examples.test):
        rows, label = gather(part, 100)
        for row, told in zip(rows["image"], label, strict=True):
            assert wanted[row.tobytes()] == told
            seen += 1
    assert seen == 20


def test_the_service_gets_that_preprocessing(folders):
    """What stands in the bundle is the one that rows were made by."""
    said = read_examples(str(folders), INPUTS, 2, preprocess=SPEC).preprocess["image"]
    assert Preprocess.model_validate_json(json.dumps(said)) == SPEC


def test_loose_pictures_with_labels_or_without(loose):
    """A file of lines tells the class of each; without it there is none, which only imitation can do with."""
    examples = read_examples(str(loose), INPUTS, 2, labels=loose.parent / "labels.csv", preprocess=SPEC)
    assert examples.is_labelled and sorted(np.unique(examples.train[0].label)) == [0, 1]
    bare = read_examples(str(loose), INPUTS, 2, labelled=False, preprocess=SPEC)
    assert not bare.is_labelled and len(bare.train[0]) + len(bare.calibration) + len(bare.test) == 20
    with pytest.raises(BadLabel, match="without labels"):
        read_examples(str(loose), INPUTS, 2, preprocess=SPEC)


@pytest.mark.parametrize(("line", "says"), [
    ("7.png,5", "says 7.png,5; .*wanted 0 to 1"), ("7.png,cat", "line 1 is '7.png,cat'"), ("1,2,3", "line 1"),
])  # fmt: skip
def test_labels_that_are_none_are_named(loose, line, says):
    """Out of range, a word, too many columns: the line is told."""
    path = loose.parent / "bad.csv"
    path.write_text(line + "\n" + "".join(f"{number}.png,0\n" for number in range(20) if number != 7))
    with pytest.raises(BadLabel, match=says):
        read_examples(str(loose), INPUTS, 2, labels=path, preprocess=SPEC)


def test_a_picture_without_a_line_is_named(loose):
    """One label per picture is wanted."""
    path = loose.parent / "few.csv"
    path.write_text("1.png,0\n")
    with pytest.raises(
        BadLabel, match=r"no line for '0.png' and 18 more of 20 pictures in \S+; wanted a line for each"
    ):
        read_examples(str(loose), INPUTS, 2, labels=path, preprocess=SPEC)


def test_lines_that_fit_no_picture_are_named(loose):
    """One of a picture that is not there, and two that contradict each other; a line that is there twice is fine."""
    path = loose.parent / "labels.csv"
    lines = path.read_text()
    for more, says in (
        ("99.png,0\n", "has a line for '99.png' and 0 more that are not in"),
        ("3.png,0\n", "says 3.png,1 and 3.png,0; wanted one line per picture"),
    ):
        path.write_text(lines + more)
        with pytest.raises(BadLabel, match=says):
            read_examples(str(loose), INPUTS, 2, labels=path, preprocess=SPEC)
    path.write_text(lines + "3.png,1\n")
    assert read_examples(str(loose), INPUTS, 2, labels=path, preprocess=SPEC).is_labelled


def test_a_class_index_is_the_networks_own(loose):
    """Whatever its classes are called: no name stands in a file of labels."""
    examples = read_examples(str(loose), INPUTS, 2, labels=loose.parent / "labels.csv", preprocess=SPEC)
    assert (
        examples.labels is None and examples.in_order_of(("1", "0")).test.label.tolist() == examples.test.label.tolist()
    )


def test_what_cannot_be_read_as_data(folders, tmp_path):
    """A path that is not there, pictures without a preprocessing, of another size or for another number of classes."""
    with pytest.raises(DataMissing, match="nowhere/at-all is not there"):
        read_examples("nowhere/at-all", INPUTS, 2)
    with pytest.raises(BadOption, match="nothing says how the pictures"):
        read_examples(str(folders), INPUTS, 2)
    with pytest.raises(DataMisfit, match=r"\[3, 9, 9\]"):
        read_examples(str(folders), INPUTS, 2, preprocess=SPEC.model_copy(update={"crop": (9, 9), "resize": 9}))
    with pytest.raises(BadLabel, match="2 classes and the network tells 7"):
        read_examples(str(folders), INPUTS, 7, preprocess=SPEC)
    two = Inputs((*INPUTS.tensors, NetworkInput("mask", "float32", ("batch", 3))), {}, one_row=False)
    with pytest.raises(DataMisfit, match="image, mask"):
        read_examples(str(folders), two, 2, preprocess=SPEC)


def test_a_named_data_set(tmp_path):
    """The digits that ship with scikit-learn, as rows of a network that takes them flat."""
    flat = Inputs((NetworkInput("x", "float32", ("batch", 64)),), {}, one_row=False)
    examples = read_examples("digits", flat, 10)
    rows, label = gather(examples.test, 5)
    assert rows["x"].shape == (5, 64) and label.shape == (5,)
    assert examples.labels == tuple("0123456789") and examples.data["name"] == "digits"


def test_bytes_stay_bytes(folders):
    """An input of uint8 gets pixels, and no mean or std is told."""
    pixels = Inputs((NetworkInput("image", "uint8", ("batch", 8, 8, 3)),), {}, one_row=False)
    spec = Preprocess(channels="rgb", resize=8, crop=(8, 8), layout="hwc")
    examples = read_examples(str(folders), pixels, 2, preprocess=spec)
    rows, _ = gather(examples.train[0], 1)
    assert rows["image"].dtype == np.uint8 and "mean" not in examples.preprocess["image"]
    wanted = {
        preprocess(path.read_bytes(), spec, "uint8", (8, 8, 3), 10**6).tobytes() for path in folders.rglob("*.png")
    }
    assert rows["image"][0].tobytes() in wanted
