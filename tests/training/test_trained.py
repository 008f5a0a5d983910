import dataclasses
import json
import shutil

import numpy as np
import pytest

from anytime.model_store import open_bundle
from anytime.model_store.npz import read_npz
from anytime.training.errors import RunFailed
from anytime.training.methods.ztw import ZtwOptions
from anytime.training.models.heads import HeadOptions
from anytime.training.parity import require_parity
from anytime.training.trained import HEADS, compare_trained
from tests.training.exported_runs import QUICK, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def compare(folder):
    return compare_trained(folder, open_bundle(folder / "bundle"), read_npz(folder / "rows.npz"))


def test_the_heads_say_what_torch_says(run):
    """On the run's own test rows, at 1, 3 and 8 of them, for every exit but the network's own."""
    found = compare(run)
    assert {(one.between, one.rows, one.exit) for one in found} == {
        (HEADS, rows, exit) for rows in (1, 3, 8) for exit in (1, 2)
    }
    assert all(0 <= one.apart < 1e-5 for one in found)


def test_an_ensemble_at_the_end(tmp_path):
    """Then the last exit was trained too, and is compared like the others."""
    found = compare(make_run(tmp_path, dataclasses.replace(QUICK, ztw=ZtwOptions(ensemble_final=True))))
    assert {one.exit for one in found} == {1, 2, 3}
    require_parity(found)


@pytest.mark.parametrize(("name", "stored"), [
    ("cnn", "float16"), ("bert", "float32"), ("signal", "float32"), ("channels_last", "float32"),
])  # fmt: skip
def test_features_that_were_reduced(networks, name, stored, tmp_path):
    """Of SDN: heads trained on means over a map, stored at half precision, or over tokens, are compared on whole ones."""
    options = dataclasses.replace(QUICK, method="sdn", head=HeadOptions("linear"), stored=stored)
    found = compare(make_run(tmp_path, options, networks[name]))
    assert all(one.apart < 1e-5 for one in found) and {one.exit for one in found} == {1, 2}


def test_another_checkpoint_is_told(copy):
    """Weights that are not the bundle's differ."""
    path = copy / "checkpoints" / "ensembles.npz"
    with np.load(path) as stored:
        arrays = {
            name: values * 1.5 if name.startswith("module/heads.0") else values for name, values in stored.items()
        }
    np.savez(path, **arrays)
    assert not any(one.is_small for one in compare(copy) if one.exit == 1)


def test_what_a_run_lacks(copy):
    """No checkpoint, another method, no record of what is read or of its options: each is one line that says what to do."""
    bundle = open_bundle(copy / "bundle")
    known = json.loads((copy / "run.json").read_text())

    def refused():
        with pytest.raises(RunFailed) as caught:
            compare_trained(copy, bundle, read_npz(copy / "rows.npz"))
        return str(caught.value)

    (copy / "checkpoints" / "ensembles.npz").rename(copy / "kept.npz")
    assert "ensembles.npz is not there; start the run again" in refused()
    (copy / "kept.npz").rename(copy / "checkpoints" / "ensembles.npz")
    (copy / "run.json").write_text(json.dumps({**known, "method": "msdnet"}))
    assert "method is 'msdnet'" in refused()
    (copy / "run.json").write_text(json.dumps({name: said for name, said in known.items() if name != "read"}))
    assert "does not say what exits read" in refused()
    (copy / "run.json").write_text("[]")
    assert "holds []" in refused()


def test_where_the_features_lie_is_no_matter(copy):
    """A run whose features are another's, as a planned one's, is compared like any."""
    shutil.rmtree(copy / "features")
    found = compare(copy)
    assert len(found) == 6 and all(one.is_small for one in found)
