"""Tests of writing bundles."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from anytime.model_store import errors
from anytime.model_store.build import copy_bundle, write_bundle
from anytime.model_store.bundle import open_bundle
from tests.model_store import tiny


def test_defaults(tmp_path):
    """Version, method, time, counts and a card are filled in."""
    draft = tiny.draft()
    del draft["created"]
    bundle = write_bundle(tmp_path / "b", draft, tiny.files())
    manifest = bundle.manifest
    assert (manifest.version, manifest.method) == (1, "custom")
    assert manifest.created.utcoffset().total_seconds() == 0
    assert [(stage.head.macs, stage.head.params) for stage in manifest.stages] == [(12, 12)] * 2
    assert (manifest.stages[1].body.macs, manifest.stages[1].body.params) == (0, 0)
    assert "| 2 | 12 | 12 |" in bundle.path("card.md").read_text()


def test_given_stays(tmp_path):
    """Counts and a card that the caller gives are kept."""
    draft = tiny.draft()
    draft["stages"][0]["head"].update(macs=7, params=5)
    bundle = write_bundle(tmp_path / "b", draft, {**tiny.files(), "card.md": b"mine"})
    assert (bundle.manifest.stages[0].head.macs, bundle.manifest.stages[0].head.params) == (7, 5)
    assert bundle.path("card.md").read_bytes() == b"mine"


def test_counted_at_typical_sizes(tmp_path):
    """Multiply-adds are counted at the typical size of a symbolic axis, whatever the ONNX graph calls it."""
    draft = tiny.draft()
    draft["axes"] = {"seq": {"min": 1, "typical": 5, "max": 8}}
    draft["inputs"][0]["shape"] = ["batch", "seq", 4]
    draft["state"], draft["stages"] = [], draft["stages"][:1]
    nodes = [
        helper.make_node("MatMul", ["y", "w"], ["s"]),
        helper.make_node("ReduceMax", ["s", "axis"], ["scores"], keepdims=0),
    ]
    head = tiny.model(nodes, {"y": ("float32", ["n", "tokens", 4])}, {"scores": ("float32", ["n", 3])},
                      {"w": tiny.WEIGHT, "axis": np.array([1])})  # fmt: skip
    bundle = write_bundle(tmp_path / "b", draft, {"head.onnx": head})
    assert bundle.manifest.stages[0].head.macs == 5 * 12


def test_target_exists(folder):
    """A target that exists is left as it is."""
    with pytest.raises(FileExistsError, match="exists already"):
        write_bundle(folder, tiny.draft(), tiny.files())


@pytest.mark.parametrize(
    ("draft", "files", "error"),
    [
        ({"format": 1}, {}, errors.Contradiction),
        ({"files": {}}, {}, errors.Contradiction),
        ({"labels": {1, 2}}, {}, errors.WrongType),
        ({"method": float("nan")}, {}, errors.WrongType),
        ({"stages": 5}, {}, errors.WrongType),
        ({"inputs": [{"name": ["x"]}]}, {}, errors.WrongType),
        ({}, {"../x": b""}, errors.PathOutside),
        ({}, {"manifest.json": b""}, errors.PathOutside),
        ({}, {"head.onnx": b"junk"}, errors.GraphUnreadable),
        ({}, {"head.onnx": np.zeros(1)}, errors.MissingFile),
        ({}, {"memory.npy": np.zeros(3)}, errors.GraphMismatch),
        ({}, {"sub": b"", "sub/x": b""}, OSError),
    ],
)
def test_nothing_left_behind(tmp_path, draft, files, error):
    """A draft or a file that is wrong raises its named error, and neither folder nor temporary folder appears."""
    with pytest.raises(error):
        write_bundle(tmp_path / "b", {**tiny.draft(), **draft}, {**tiny.files(), **files})
    assert list(tmp_path.iterdir()) == []


def test_draft_untouched(tmp_path):
    """The caller's draft is not written to."""
    draft = tiny.draft()
    write_bundle(tmp_path / "b", draft, tiny.files())
    assert draft == tiny.draft()


paths = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}\.[a-z]{1,3}){0,2}", fullmatch=True)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(paths.map("extra/{}".format), st.binary(max_size=50), max_size=1), st.integers(1, 2**53),
       st.text(max_size=20))  # fmt: skip
def test_round_trip(extra, version, method):
    """What was written is what is opened, from the manifest to the last byte."""
    with tempfile.TemporaryDirectory() as root:
        draft = {**tiny.draft(), "version": version, "method": method}
        written = write_bundle(Path(root) / "b", draft, {**tiny.files(), **extra})
        opened = open_bundle(Path(root) / "b")
        assert opened == written
        assert json.loads(opened.manifest.to_json())["method"] == method
        assert {path: opened.path(path).read_bytes() for path in extra} == extra


def test_a_copy_differs_in_what_is_asked_alone(folder, tmp_path):
    """The same files, byte for byte, and the same manifest but for the fields that change."""
    bundle = open_bundle(folder)
    calibration = {"accuracy": [0.5, 0.75]}
    copy = copy_bundle(bundle, tmp_path / "deep" / "copy", calibration=calibration)
    assert copy.manifest.calibration.accuracy == (0.5, 0.75)
    assert copy.manifest.model_copy(update={"calibration": bundle.manifest.calibration}) == bundle.manifest
    assert open_bundle(copy.folder).digest == copy.digest
    for file in bundle.manifest.files:
        assert copy.path(file).read_bytes() == bundle.path(file).read_bytes()


def test_a_copy_may_hold_other_files(folder, tmp_path):
    """One in place of what it was and one that was not there; their hashes are listed, and all else stays."""
    bundle = open_bundle(folder)
    copy = copy_bundle(bundle, tmp_path / "copy", contents={"card.md": b"# other", "notes/a.txt": b"new"})
    assert copy.path("card.md").read_bytes() == b"# other" and copy.path("notes/a.txt").read_bytes() == b"new"
    assert copy.manifest.files.keys() == bundle.manifest.files.keys() | {"notes/a.txt"}
    others = bundle.manifest.files.keys() - {"card.md"}
    assert {file: copy.manifest.files[file] for file in others} == {
        file: bundle.manifest.files[file] for file in others
    }
    assert open_bundle(copy.folder).digest == copy.digest


def test_a_copy_appears_whole_or_not_at_all(folder, tmp_path):
    """Changes that do not fit, a target that exists, or a file that was damaged since: nothing is left behind."""
    bundle = open_bundle(folder)
    with pytest.raises(errors.Contradiction):
        copy_bundle(bundle, tmp_path / "copies" / "a", calibration={"accuracy": [0.5]})
    with pytest.raises(FileExistsError):
        copy_bundle(bundle, folder)
    bundle.path("card.md").write_text("other")
    with pytest.raises(errors.WrongHash):
        copy_bundle(bundle, tmp_path / "copies" / "a")
    assert list((tmp_path / "copies").iterdir()) == []
