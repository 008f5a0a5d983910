"""Tests of an opened bundle."""

import dataclasses
import hashlib

import numpy as np
import pytest

from anytime.model_store import errors, limits
from anytime.model_store.bundle import open_bundle
from tests.model_store import tiny


def test_open(folder):
    """An opened bundle knows its files, its flow and its digest, and cannot be changed."""
    bundle = open_bundle(folder)
    assert bundle.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert bundle.path("head.onnx") == folder / "head.onnx"
    assert bundle.flow.macs_full == 12
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.folder = folder.parent


def test_weight_bytes(folder):
    """A graph that serves two stages weighs once."""
    sizes = [(folder / name).stat().st_size for name in ("head.onnx", "body.onnx")]
    assert open_bundle(folder).weight_bytes == sum(sizes)


def test_zeros(folder):
    """A start of zeros has the state's dtype and its axes as asked."""

    def change(raw):
        raw["axes"] = {"seq": {"min": 1, "typical": 4, "max": 8}}
        raw["inputs"].append({"name": "ids", "dtype": "int64", "shape": ["batch", "seq"]})
        raw["state"].append({"name": "sums", "dtype": "uint8", "shape": ["batch", "seq", 2], "start": "zeros"})

    tiny.edit(folder, change)
    start = open_bundle(folder).start("sums", {"seq": 3})
    assert (start.dtype, start.shape, start.any()) == (np.uint8, (3, 2), False)


@pytest.mark.parametrize("name", ["manifest.json", ""])
def test_no_manifest(folder, name):
    """A folder without a manifest, or none at all, is ManifestUnreadable."""
    (folder / "manifest.json").unlink()
    with pytest.raises(errors.ManifestUnreadable, match="folder of a bundle"):
        open_bundle(folder / name)


def test_manifest_link_outside(folder, tmp_path):
    """A manifest that is a link out of the bundle is PathOutside."""
    (folder / "manifest.json").rename(tmp_path / "manifest.json")
    (folder / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(errors.PathOutside):
        open_bundle(folder)


def test_manifest_too_large(folder):
    """A manifest beyond its bound is not read to the end."""
    with (folder / "manifest.json").open("ab") as file:
        file.truncate(limits.MANIFEST_BYTES + 1)
    with pytest.raises(errors.TooLarge):
        open_bundle(folder)
