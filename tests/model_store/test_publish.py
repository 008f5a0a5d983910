"""Tests of the sweep; publishing itself is proved through the store."""

import os

from anytime.model_store.publish import STALE_S, sweep

NOW = 1_000_000.0


def left_behind(home, name, age_s, file_age_s):
    folder = home / name
    folder.mkdir()
    (folder / "part").write_text("x")
    os.utime(folder / "part", (NOW - file_age_s,) * 2)
    os.utime(folder, (NOW - age_s,) * 2)


def test_sweep(tmp_path):
    """Only temporary folders in which nothing changed for an hour are removed."""
    left_behind(tmp_path, ".tmp-dead", STALE_S + 1, STALE_S + 1)
    left_behind(tmp_path, ".tmp-slow", STALE_S + 1, 5)
    left_behind(tmp_path, ".tmp-new", 5, STALE_S + 1)
    left_behind(tmp_path, "1", STALE_S + 1, STALE_S + 1)
    sweep(tmp_path, NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-new", ".tmp-slow", "1"]
