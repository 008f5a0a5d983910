"""A run is read again as it was made, and what it was made from is found again or refused."""

import json
import shutil

import pytest

from anytime.training.errors import RunFailed
from anytime.training.finished import find_again, read_finished
from anytime.training.recipe import parse_recipe
from anytime.training.train import train_recipe
from tests.training.finished_runs import CPU, EXITS, QUICK, write_network, write_rows


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy to be spoiled, its network and rows beside it as the first one's are."""
    return shutil.copytree(finished_run, tmp_path / "run")


def test_a_run_is_read_as_it_was_made(finished_run):
    """Options, cuts, bundle and traces; network and rows are the very same."""
    run = read_finished(finished_run)
    assert run.options == QUICK and len(run.cuts) == EXITS - 1 and run.bundle.manifest.exits == EXITS
    assert run.traces["test"].rows == 60
    network, examples = find_again(run)
    assert (network.sha256, examples.key) == (run.network, run.data)


def test_data_that_moved_are_named(run, finished_run, tmp_path):
    """Where they lie now is told; other data, though they fit, are refused."""
    known = read_finished(run)
    moved = shutil.copy(finished_run.parent / "rows.npz", tmp_path / "moved.npz")
    assert find_again(known, data=str(moved))[1].key == known.data
    with pytest.raises(RunFailed, match="the data changed since the run"):
        find_again(known, data=str(write_rows(tmp_path / "other.npz", seed=1)))


def test_a_network_that_changed_is_refused(run, tmp_path):
    """By its hash, which the message gives."""
    said = json.loads((run / "source.json").read_text())
    changed = write_network(tmp_path / "changed.onnx", scale=2.0)
    (run / "source.json").write_text(json.dumps({**said, "network": str(changed)}))
    with pytest.raises(RunFailed, match=r"the network in .*changed\.onnx changed since"):
        find_again(read_finished(run))


def test_a_folder_that_is_no_finished_run_is_refused(run, tmp_path):
    """No folder, no run, a damaged one, and one that was broken off: each is told apart."""
    with pytest.raises(RunFailed, match=r"is no run: it has no run\.json"):
        read_finished(tmp_path / "nowhere")
    shutil.rmtree(run / "bundle")
    with pytest.raises(RunFailed, match="has not ended; start it again"):
        read_finished(run)
    (run / "run.json").write_text('{"network": "a"}')
    with pytest.raises(RunFailed, match="cannot be read: 'data'"):
        read_finished(run)


def test_a_run_of_a_recipe_is_found_again(tmp_path):
    """Augmented views included; its data are named by the recipe, and by nobody else."""
    table = {
        "name": "small", "data": {"name": "digits", "augmentation": "crop"},
        "backbone": {"network": "mlp", "options": {"hidden": [8, 8]}, "schedule": {"epochs": 1}},
        "exits": {"views": 2, "heads": {"epochs": 1}, "ensembles": {"epochs": 1}},
    }  # fmt: skip
    train_recipe(parse_recipe(table, "small.toml"), tmp_path / "run", device=CPU)
    known = read_finished(tmp_path / "run")
    network, examples = find_again(known)
    assert (network.sha256, examples.key, len(examples.train)) == (known.network, known.data, 2)
    with pytest.raises(RunFailed, match="is a run of a recipe, which names the data"):
        find_again(known, data="digits")
