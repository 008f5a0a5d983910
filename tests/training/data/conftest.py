"""No test finds what somebody has in their cache, or means to have with ``ANYTIME_DATA``."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.delenv("ANYTIME_DATA", raising=False)
    return folder
