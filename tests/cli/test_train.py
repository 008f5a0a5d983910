import json

import pytest

from anytime.cli.main import main
from anytime.model_store import Store
from anytime.training.recipe import shipped

RECIPE = """
name = "small"
[data]
name = "digits"
[backbone]
network = "resnet-8"
options = { width = 4 }
schedule = { epochs = 2, learning_rate = 1e-2, optimizer = "adam", momentum = 0.0, milestones = [] }
[exits]
at = [1, 2]
heads = { epochs = 2, milestones = [] }
ensembles = { epochs = 2 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANYTIME_STORE", raising=False)
    (tmp_path / "small.toml").write_text(RECIPE)
    return tmp_path


def test_a_recipe_is_trained_and_published(folder, capsys):
    """A second call goes on where the first ended, and publishes the next version; changes are taken."""
    assert main(["train", "small.toml", "--seed", "1"]) == 0
    said = capsys.readouterr().out
    assert "early exits save" in said and "small version 1: 3 exits" in said and "runs/small-1/traces" in said
    assert main(["train", "small.toml", "--seed", "1", "--set", "name=small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 2
    assert Store(folder / "models").open("small").manifest.provenance.seed == 1


def test_what_is_shipped_is_listed(capsys):
    """By name."""
    assert main(["train", "--list"]) == 0
    assert capsys.readouterr().out.split() == list(shipped())


@pytest.mark.parametrize(("arguments", "says"), [
    ([], "which recipe?"),
    (["small"], "no recipe 'small'"),
    (["small.toml", "--set", "exits.methd=sdn"], "did you mean 'method'"),
    (["small.toml", "--set", "backbone.network=resnet-9"], "resnet-9"),
    (["small.toml", "--set", "backbone.options.wdth=4"], "did you mean 'width'"),
    (["small.toml", "--set", "data.name=digit"], "did you mean 'digits'"),
    (["small.toml", "--precision", "bf61"], "no precision 'bf61'"),
    (["small.toml", "--out", "."], "exists already"),
    (["small.toml", "--set", "data.name=mnist", "--offline", "--data-dir", "none"], "none"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line(folder, capsys, arguments, says):
    """The message names what was given, and nothing is published."""
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert not (folder / "models").exists()
