"""Tests of a bundle's files against its manifest."""

import os

import pytest

from anytime.model_store import errors
from anytime.model_store.bundle import open_bundle
from anytime.model_store.flow import build_flow
from anytime.model_store.parse import parse_manifest
from anytime.model_store.verify import verify_files, verify_graphs
from tests.model_store import tiny


def test_valid(folder):
    """A bundle as it was built passes."""
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    verify_files(folder, manifest)
    assert verify_graphs(folder, manifest, build_flow(manifest)) == {"head.onnx", "body.onnx"}


def test_listed_and_missing(folder):
    """A listed file that is not there is MissingFile."""
    (folder / "memory.npy").unlink()
    with pytest.raises(errors.MissingFile, match=r"memory\.npy"):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["stray.txt", ".hidden", "sub/stray.txt"])
def test_there_and_unlisted(folder, name):
    """A file that no one listed is MissingFile, however deep or hidden."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    with pytest.raises(errors.MissingFile, match="not listed"):
        open_bundle(folder)


def test_linked_folder(folder, tmp_path):
    """A link to a folder is a file that no one listed."""
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(errors.MissingFile, match="not listed"):
        open_bundle(folder)


def test_folder_in_the_place_of_a_file(folder):
    """A folder where a file should be is MissingFile."""
    (folder / "card.md").unlink()
    (folder / "card.md").mkdir()
    with pytest.raises(errors.MissingFile, match="regular"):
        open_bundle(folder)


def test_pipe_in_the_place_of_a_file(folder):
    """A named pipe where a file should be is refused, not read."""
    (folder / "card.md").unlink()
    os.mkfifo(folder / "card.md")
    with pytest.raises(errors.MissingFile, match="regular"):
        open_bundle(folder)


def test_link_outside(folder, tmp_path):
    """A file that is a link out of the bundle is PathOutside, though its bytes be right."""
    (folder / "head.onnx").rename(tmp_path / "elsewhere.onnx")
    (folder / "head.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(errors.PathOutside, match="outside"):
        open_bundle(folder)


def test_link_to_itself(folder):
    """A link that goes round in circles is MissingFile."""
    (folder / "card.md").unlink()
    (folder / "card.md").symlink_to("card.md")
    with pytest.raises(errors.MissingFile):
        open_bundle(folder)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_wrong_hash(folder, damage):
    """A file of another size or with one bit flipped is WrongHash."""
    path = folder / "head.onnx"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(errors.WrongHash, match="head"):
        open_bundle(folder)


def test_hash_before_parse(folder):
    """A file that does not hash right is not parsed: its fault is the hash."""
    (folder / "head.onnx").write_bytes(b"not onnx")
    with pytest.raises(errors.WrongHash):
        open_bundle(folder)


@pytest.mark.parametrize("data", [b"", b"not onnx at all", b"\x08\x07"])
def test_graph_unreadable(folder, data):
    """A graph that is hashed right and no ONNX model is GraphUnreadable."""
    tiny.rewrite(folder, "head.onnx", data)
    with pytest.raises(errors.GraphUnreadable):
        open_bundle(folder)


def test_whole_model_is_looked_at(folder):
    """A listed ONNX file that no stage uses must be readable as well, and weighs nothing."""
    tiny.rewrite(folder, "model.onnx", tiny.head().SerializeToString())
    assert "model.onnx" not in open_bundle(folder).weight_files
    tiny.rewrite(folder, "model.onnx", b"junk")
    with pytest.raises(errors.GraphUnreadable):
        open_bundle(folder)
