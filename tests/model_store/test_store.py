"""Tests of the store: versions, aliases, and publishers that meet or die."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from anytime.model_store import errors
from anytime.model_store.build import write_bundle
from anytime.model_store.store import Store
from tests.model_store import tiny

PUBLISH = """
import sys
from pathlib import Path
from anytime.model_store.store import Store
print(Store(Path(sys.argv[1])).publish(Path(sys.argv[2])).manifest.version)
"""
STUCK = """
import os, sys, time
from pathlib import Path
from anytime.model_store.store import Store
def stuck(handle):
    print("copying", flush=True)
    time.sleep(600)
os.fsync = stuck
Store(Path(sys.argv[1])).publish(Path(sys.argv[2]))
"""


def publisher(script, store, folder):
    command = [sys.executable, "-c", script, str(store.root), str(folder)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def full(store, folder):
    """A store with versions 1 and 2 of ``tiny``."""
    store.publish(folder)
    store.publish(folder)
    return store


def test_empty(store):
    """A folder that does not exist is an empty store."""
    assert store.models() == ()
    assert store.fingerprint() == frozenset()
    with pytest.raises(errors.UnknownModel, match="there are none"):
        store.resolve("tiny")


def test_publish(store, folder):
    """Publishing copies the bundle in under the next version, and its manifest says so."""
    bundle = store.publish(folder)
    assert store.publish(folder, 7).manifest.version == 7
    assert store.publish(folder).manifest.version == 8
    assert store.versions("tiny") == (1, 7, 8)
    assert bundle.folder == store.root / "tiny" / "1"
    assert store.open("tiny", 1) == bundle
    assert sorted(path.name for path in (store.root / "tiny").iterdir()) == ["1", "7", "8"]


def test_version_exists(full, folder):
    """A version that exists is not published again."""
    before = full.fingerprint()
    with pytest.raises(errors.VersionExists, match="another number"):
        full.publish(folder, 2)
    assert full.fingerprint() == before


def test_publish_broken(store, folder):
    """A bundle that does not verify is not published, and nothing appears."""
    (folder / "head.onnx").write_bytes(b"")
    with pytest.raises(errors.WrongHash):
        store.publish(folder)
    assert store.models() == ()


def test_two_publishers(store, folder):
    """Two processes that publish at once both succeed, with different versions."""
    running = [publisher(PUBLISH, store, folder) for _ in range(4)]
    versions = sorted(int(one.communicate(timeout=60)[0]) for one in running)
    assert versions == [1, 2, 3, 4]
    assert store.versions("tiny") == (1, 2, 3, 4)
    for version in versions:
        store.verify("tiny", version)


def test_killed_publisher(store, folder):
    """A publisher killed in the middle leaves nothing that is listed, and a later one sweeps up after an hour."""
    running = publisher(STUCK, store, folder)
    assert running.stdout.readline() == "copying\n"
    running.kill()
    running.communicate(timeout=60)
    home = store.root / "tiny"
    (left,) = home.iterdir()
    assert left.name.startswith(".tmp-")
    assert store.models() == ()
    assert store.publish(folder).manifest.version == 1
    assert left.exists()
    for path in (*left.iterdir(), left):
        os.utime(path, (time.time() - 4000,) * 2)
    store.publish(folder)
    assert sorted(path.name for path in home.iterdir()) == ["1", "2"]


def test_number_taken_by_something_else(full, folder):
    """A number under which something else lies is passed over."""
    (full.root / "tiny" / "3").mkdir()
    assert full.publish(folder).manifest.version == 4


def test_resolve(full):
    """A version, its text, an alias, and nothing (stable if set, else latest) all resolve."""
    assert [full.resolve("tiny", one) for one in (1, "1", "latest", None)] == [1, 1, 2, 2]
    full.set_alias("tiny", "stable", 1)
    full.set_alias("tiny", "next", "latest")
    assert [full.resolve("tiny", one) for one in ("stable", None, "next", "latest")] == [1, 1, 2, 2]
    assert full.aliases("tiny") == {"latest": 2, "next": 2, "stable": 1}


def test_latest_moves(full, folder):
    """``latest`` moves on publish by itself; ``stable`` does not."""
    full.set_alias("tiny", "stable", "latest")
    full.publish(folder)
    assert full.aliases("tiny") == {"latest": 3, "stable": 2}


@pytest.mark.parametrize("reference", [3, "3", "stabel", "../1", "", "0", "01", -1])
def test_unknown_version(full, reference):
    """A version or alias that does not exist is UnknownVersion, and the message lists what does."""
    full.set_alias("tiny", "stable", 1)
    with pytest.raises(errors.UnknownVersion, match="known: 1, 2, latest, stable"):
        full.resolve("tiny", reference)


def test_unknown_model(full):
    """A model that does not exist is UnknownModel with the nearest name; one that cannot is BadName."""
    with pytest.raises(errors.UnknownModel, match="did you mean 'tiny'"):
        full.open("tinny")
    with pytest.raises(errors.BadName):
        full.open("../tiny")


def test_alias_to_missing_version(full):
    """An alias cannot be set to a version that is missing; one whose version went away is UnknownVersion."""
    with pytest.raises(errors.UnknownVersion):
        full.set_alias("tiny", "stable", 9)
    full.set_alias("tiny", "stable", 1)
    shutil.rmtree(full.root / "tiny" / "1")
    with pytest.raises(errors.UnknownVersion, match="no version 1"):
        full.resolve("tiny")


@pytest.mark.parametrize("alias", ["latest", "12", "../x", "", ".tmp-x", "Up"])
def test_bad_alias(full, alias):
    """``latest``, digits and names that are no names are BadAlias."""
    with pytest.raises(errors.BadAlias):
        full.set_alias("tiny", alias, 1)


def test_remove_alias(full):
    """A removed alias is gone; one that never was is BadAlias."""
    full.set_alias("tiny", "stable", 1)
    full.remove_alias("tiny", "stable")
    assert full.aliases("tiny") == {"latest": 2}
    with pytest.raises(errors.BadAlias, match="no alias"):
        full.remove_alias("tiny", "stable")


def test_damaged_alias(full):
    """An alias file that holds no version is BadAlias, not a guess."""
    full.set_alias("tiny", "stable", 1)
    (full.root / "tiny" / "aliases" / "stable").write_text("one")
    with pytest.raises(errors.BadAlias, match="holds 'one'"):
        full.resolve("tiny")


def test_corrupted_file(full):
    """A version whose file was changed on disk does not open."""
    (full.root / "tiny" / "1" / "head.onnx").write_bytes(b"x")
    with pytest.raises(errors.WrongHash):
        full.verify("tiny", 1)
    full.verify("tiny", 2)


def test_copied_in(full):
    """A bundle copied in by hand under another number or name is a Contradiction."""
    shutil.copytree(full.root / "tiny" / "1", full.root / "tiny" / "5")
    shutil.copytree(full.root / "tiny", full.root / "other")
    for model, version in (("tiny", 5), ("other", 1)):
        with pytest.raises(errors.Contradiction, match="publish"):
            full.open(model, version)


def test_fingerprint(full, folder, tmp_path):
    """The fingerprint changes with a version, an alias or a model, and with nothing else."""
    seen = [full.fingerprint()]
    assert full.fingerprint() == seen[0]
    draft = {**tiny.draft(), "name": "other"}
    other = write_bundle(tmp_path / "other", draft, tiny.files()).folder
    for change in (
        lambda: full.publish(folder),
        lambda: full.set_alias("tiny", "stable", 1),
        lambda: full.set_alias("tiny", "stable", 2),
        lambda: full.publish(other),
    ):
        change()
        seen.append(full.fingerprint())
    assert len(set(seen)) == 5
    (full.root / "tiny" / ".tmp-x").mkdir()
    assert full.fingerprint() == seen[-1]


def test_manifest_rewritten(full):
    """Only the version differs between a bundle and its published copy."""
    first, second = (json.loads((full.root / "tiny" / str(n) / "manifest.json").read_text()) for n in (1, 2))
    assert {**first, "version": 2} == second
