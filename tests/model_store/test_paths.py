"""Tests of the paths that a bundle may name; the refusals stand in the tests of ``checks`` and ``verify``."""

import pytest

from anytime.model_store.errors import MissingFile
from anytime.model_store.paths import check_path, locate


@pytest.mark.parametrize("path", ["a", "a.onnx", "stages/1/body.onnx", "größe.bin", "with space", "sub/manifest.json"])
def test_allowed(path):
    """Plain relative paths pass, whatever their letters."""
    assert check_path(path) is None


def test_locate(tmp_path):
    """A link inside the bundle is followed to its file; what is not there is MissingFile."""
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert locate(tmp_path, "link") == (tmp_path / "real").resolve()
    with pytest.raises(MissingFile, match="has no file"):
        locate(tmp_path, "other")
    with pytest.raises(MissingFile):
        locate(tmp_path, "x" * 300)
