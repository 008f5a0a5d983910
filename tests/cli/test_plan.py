import json
import shutil

import pytest

from anytime.cli.main import main
from anytime.model_store import Store
from tests.training.finished_runs import write_network, write_rows

QUICK = ["--distil", "--exits", "4", "--epochs", "2", "--ensemble-epochs", "2"]
ALL = ["--loss", "100"]
"""What may be lost is all of it: then the cheapest is to stop every row at exit 1."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network, rows, a run of attach on them, and the store that it published into."""
    folder = tmp_path_factory.mktemp("plan")
    network, rows = write_network(folder / "net.onnx"), write_rows(folder / "rows.npz")
    arguments = ["--run", folder / "run", "--store", folder / "models", "--json"]
    assert main(["attach", *map(str, [network, "--data", rows, *QUICK, *arguments])]) == 0
    return folder


def plan(*arguments):
    return main(["plan", *map(str, arguments)])


def test_the_chosen_exits_become_the_next_version(made, tmp_path, capsys):
    """Of the same model; the gain is told in a table, and once more as JSON, from the same run folder."""
    store, into = shutil.copytree(made / "models", tmp_path / "models"), tmp_path / "planned"
    assert plan(made / "run", *ALL, "--store", store, "--run", into) == 0
    said = capsys.readouterr().out
    assert "not served" in said and "ms a row with exits 1, 4" in said and "net version 2: 2 exits" in said
    assert "4 exits" in said and "ms at a loss of 100" in said and "heads and boundaries" in said
    assert Store(store).open("net").manifest.exits == 2
    assert plan(made / "run", *ALL, "--store", store, "--run", into, "--name", "small", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["version"], told["plan"]["exits"]) == ("small", 1, [1, 4])
    gain = told["gain"]
    assert gain["before"]["exits"] == 4 and gain["after"]["exits"] == 2 and gain["loss"] == 100
    assert all(gain[one]["policy"] == {"confidence": 0.0} for one in ("before", "after"))
    assert gain["after"]["policy_ms"] < gain["after"]["full_ms"]


def test_the_run_folder_lies_beside_the_run(made, tmp_path, capsys, monkeypatch):
    """RUN-planned, also where RUN is named from within; the bundle goes to a folder, and the run can be exported."""
    shutil.copytree(made / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    assert plan(".", *ALL, "--out", tmp_path / "bundle", "--json") == 0
    assert (tmp_path / "run-planned" / "bundle").is_dir() and (tmp_path / "bundle" / "manifest.json").exists()
    assert main(["export", str(tmp_path / "run-planned"), "--out", str(tmp_path / "exported")]) == 0
    assert "torch and heads" in capsys.readouterr().out


def test_nothing_is_trained_where_nothing_is_asked_or_gained(made, tmp_path, capsys):
    """A dry run, and one in which boundaries cost more than any exit saves, only say what they found."""
    arguments = ["--store", tmp_path / "models", "--run", tmp_path / "planned"]
    assert plan(made / "run", *ALL, "--dry-run", *arguments) == 0
    assert "exits 1, 4" in capsys.readouterr().out
    assert plan(made / "run", "--loss", "0", "--boundary-ms", "1000", *arguments) == 0
    assert "No exit before the last is worth serving" in capsys.readouterr().out
    assert plan(made / "run", "--loss", "0", "--boundary-ms", "1000", "--json", *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["plan"]["exits"] == [4] and not said["is_change"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("more", "says"), [
    (["--most", "1"], "at most 1 exits leave nothing to choose"),
    (["--loss", "-1"], "a loss of -1.0 points"),
    (["--loss", "inf"], "a loss of inf points; wanted 0 ms or more, and 0 to 100 points"),
    (["--device", "tpu"], "no device 'tpu' here"),
    (["--data", "no/where.npz", *ALL], "no/where.npz"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line(made, tmp_path, capsys, more, says):
    """The message names what was given, and nothing is made."""
    arguments = ["--store", tmp_path / "models", "--run", tmp_path / "planned"]
    assert plan(made / "run", *arguments, *more) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and list(tmp_path.iterdir()) == []
    assert plan(tmp_path, *arguments) == 2
    assert "is no run: it has no run.json" in capsys.readouterr().err


def test_another_attach_into_the_run_leaves_its_source(made, tmp_path, capsys):
    """Refused, it does not change where the run's own network and data are found."""
    before = (made / "run" / "source.json").read_bytes()
    other = [write_network(tmp_path / "other.onnx", scale=3.0), "--data", made / "rows.npz", "--run", made / "run"]
    assert main(["attach", *map(str, other), *QUICK]) == 2
    assert "differs in network" in capsys.readouterr().err
    assert (made / "run" / "source.json").read_bytes() == before
