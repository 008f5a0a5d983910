import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from anytime.training.attach.cache import NewCache, open_cached
from anytime.training.errors import CacheFailed

HALVES = [np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(6, dtype=np.float16).reshape(2, 3)]


def write(folder, rows=6):
    with NewCache(folder, rows) as cache:
        cache.append({"a": HALVES[0], "b": HALVES[0].astype(np.float16)})
        cache.append({"a": HALVES[1].astype(np.float32), "b": HALVES[1]})
        cache.finish({"format": 1})


def test_what_is_appended_is_read(tmp_path):
    """Row after row, each array in its own dtype, not in memory, not to be written."""
    write(tmp_path / "k")
    found = open_cached(tmp_path / "k", ("a", "b"))
    np.testing.assert_array_equal(found["a"], np.concatenate(HALVES).astype(np.float32))
    assert (found["b"].dtype, found["b"].shape) == (np.float16, (6, 3))
    assert isinstance(found["a"], np.memmap)
    assert not found["a"].flags.writeable


def test_no_folder_is_no_cache(tmp_path):
    """The caller computes."""
    assert open_cached(tmp_path / "k", ("a",)) is None


def test_what_fails_leaves_nothing(tmp_path):
    """Whatever fails, and whenever."""

    def failing():
        with NewCache(tmp_path / "k", 6) as cache:
            cache.append({"a": HALVES[0]})
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_seen_before_anything_is_written(tmp_path):
    """What is needed, what is there, and what to do."""
    with pytest.raises(CacheFailed, match=r"need .* GB and .* GB free; take fewer cuts or rows, float16"):
        write(tmp_path / "k", rows=10**15)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_an_error_that_leaves_nothing(tmp_path):
    """As others may fill it meanwhile: the operating system refuses to let the file grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def filling():
        with NewCache(tmp_path / "k", 2000) as cache:
            for _ in range(2):
                cache.append({"a": np.zeros((1000, 1000), np.float32)})
            cache.finish({})

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(CacheFailed, match=r"cannot be written to .*; nothing is left there"):
            filling()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_cache_that_looks_whole(tmp_path):
    """A hidden folder stays, is never read, and goes when it is old."""
    code = (
        "import os, signal, sys; from pathlib import Path; import numpy as np\n"
        "from anytime.training.attach.cache import NewCache\n"
        "with NewCache(Path(sys.argv[1]) / 'k', 6) as cache:\n"
        "    cache.append({'a': np.zeros((4, 3), np.float32)})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".tmp-")
    assert open_cached(tmp_path / "k", ("a",)) is None
    long_ago = time.time() - 7200
    for path in (*left.iterdir(), left):
        os.utime(path, (long_ago, long_ago))
    write(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_who_comes_second_takes_what_is_there(tmp_path):
    """Two runs may make the same features at once."""
    with NewCache(tmp_path / "k", 4) as late:
        late.append({"a": HALVES[0]})
        write(tmp_path / "k")
        late.finish({})
    assert sorted(open_cached(tmp_path / "k", ("a", "b"))) == ["a", "b"]
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


@pytest.mark.parametrize("damage", ["cut", "gone", "other", "index"])
def test_damage_is_an_error(tmp_path, damage):
    """Which says what to remove."""
    folder = tmp_path / "k"
    write(folder)
    if damage == "cut":
        (folder / "a.npy").write_bytes((folder / "a.npy").read_bytes()[:100])
    elif damage == "gone":
        (folder / "b.npy").unlink()
    elif damage == "other":
        np.save(folder / "a.npy", np.zeros((2, 3)))
    else:
        (folder / "index.json").write_text("{")
    with pytest.raises(CacheFailed, match="remove that folder"):
        open_cached(folder, ("a", "b"))


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    """As a file where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheFailed, match="cannot be written"):
        write(tmp_path / "file" / "k")
