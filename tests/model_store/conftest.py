"""The bundle that the tests of the store break."""

import pytest

from anytime.model_store.build import write_bundle
from tests.model_store import tiny


@pytest.fixture
def folder(tmp_path):
    """A valid bundle on disk, to be broken."""
    return write_bundle(tmp_path / "tiny", tiny.draft(), tiny.files()).folder
