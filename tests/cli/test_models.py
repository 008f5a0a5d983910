"""Tests of ``anytime models``."""

import argparse
import json

import pytest

from anytime.cli import models
from anytime.model_store import errors
from anytime.model_store.build import write_bundle
from tests.model_store import tiny


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "tiny", tiny.draft(), tiny.files()).folder


@pytest.fixture
def anytime(tmp_path, capsys):
    """Runs ``anytime models`` on a store and returns (exit code, what it printed)."""

    def call(*words):
        parser = argparse.ArgumentParser()
        models.add_arguments(parser)
        code = models.run(parser.parse_args([*map(str, words), "--store", str(tmp_path / "store")]))
        return code, capsys.readouterr().out

    return call


def test_list(anytime, folder):
    """``list`` shows models, versions and aliases, and says what to do with an empty store."""
    assert "anytime models add" in anytime("list")[1]
    assert anytime("list", "--json") == (0, "[]\n")
    anytime("add", folder)
    anytime("add", folder)
    anytime("alias", "tiny", "stable", "1")
    assert anytime("list")[1].splitlines()[1].split() == ["tiny", "1", "2", "latest=2", "stable=1"]
    assert json.loads(anytime("list", "--json")[1]) == [
        {"model": "tiny", "versions": [1, 2], "aliases": {"latest": 2, "stable": 1}}
    ]


def test_add(anytime, folder, tmp_path):
    """``add`` publishes a folder under the next version, or the one given."""
    assert anytime("add", folder) == (0, f"tiny 1 is in {tmp_path / 'store' / 'tiny' / '1'}\n")
    assert json.loads(anytime("add", folder, "--version", 5, "--json")[1])["version"] == 5
    with pytest.raises(errors.VersionExists):
        anytime("add", folder, "--version", 5)


def test_show(anytime, folder):
    """``show`` tells exits with what they cost."""
    anytime("add", folder)
    shown = json.loads(anytime("show", "tiny", "latest", "--json")[1])
    assert [(one["exit"], one["macs"], one["cost"]) for one in shown["exits"]] == [(1, 12, 1.0), (2, 12, 1.0)]
    text = anytime("show", "tiny")[1]
    assert "input: image float32 ['batch', 4]" in text
    with pytest.raises(errors.UnknownVersion):
        anytime("show", "tiny", "7")


def test_verify(anytime, folder, tmp_path):
    """``verify`` checks one version or all, and exits with 1 where one is broken."""
    anytime("add", folder)
    anytime("add", folder)
    assert anytime("verify") == (0, "tiny 1: ok\ntiny 2: ok\n")
    (tmp_path / "store" / "tiny" / "1" / "head.onnx").write_bytes(b"")
    assert anytime("verify", "tiny", "2")[0] == 0
    code, out = anytime("verify", "--json")
    assert (code, [one["code"] for one in json.loads(out)]) == (1, ["wrong_hash", None])
    with pytest.raises(errors.UnknownModel):
        anytime("verify", "other")


def test_alias(anytime, folder):
    """``alias`` sets and removes an alias."""
    anytime("add", folder)
    assert anytime("alias", "tiny", "stable", "latest") == (0, "tiny stable is version 1\n")
    assert anytime("alias", "tiny", "stable", "--remove") == (0, "tiny stable is removed\n")
    with pytest.raises(errors.BadAlias):
        anytime("alias", "tiny", "latest", "1")


def test_store_from_environment(monkeypatch):
    """Without ``--store`` the store is ANYTIME_STORE, else ./models."""
    for value, store in (("elsewhere", "elsewhere"), ("", "models")):
        monkeypatch.setenv("ANYTIME_STORE", value)
        parser = argparse.ArgumentParser()
        models.add_arguments(parser)
        assert str(parser.parse_args(["list"]).store) == store
