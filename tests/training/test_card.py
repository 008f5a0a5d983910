import json
import re

import numpy as np
import pytest

from anytime.model_store import Store
from anytime.training.card import write_card
from anytime.training.whole import whole_network
from tests.bundles import BUNDLES, quantised


def with_provenance(manifest, **fields):
    provenance = type(manifest.provenance).model_validate_json(json.dumps(fields))
    return manifest.model_copy(update={"provenance": provenance})


def test_it_tells_where_the_bundle_comes_from(stress_store):
    """Network, data, split, seed, versions and recipe stand in the card; a recipe that is no JSON is shown as it is."""
    manifest = Store(stress_store).open("ztw").manifest
    recipe = json.dumps({"network": {"file": "net.onnx", "sha256": "ab" * 32}, "method": "ztw"})
    card = write_card(with_provenance(
        manifest, recipe=recipe, seed=7, data={"name": "digits", "sha256": "cd" * 32, "split": "train 8, test 2"},
        versions={"onnx": "1.2.3"}, metrics={f"test.accuracy.exit-{exit}": exit / 10 for exit in range(1, 6)},
    ))  # fmt: skip
    for said in (
        "`net.onnx`",
        "ab" * 32,
        "digits",
        "cd" * 32,
        "train 8, test 2",
        "Seed: 7",
        "onnx 1.2.3",
        "made by `ztw`",
    ):
        assert said in card
    assert "```json" in card and "![Accuracy over cost](curve.svg)" in card
    (row,) = re.findall(r"^\| 3 \|.*$", card, re.MULTILINE)
    assert "30.0%" in row
    assert "```toml\nepochs = 3\n```" in write_card(with_provenance(manifest, recipe="epochs = 3"))


def test_operating_points_and_pictures(stress_store):
    """Each point's policy, accuracy and cost, the default policy, how pictures become rows, and outputs beside logits."""
    card = write_card(Store(stress_store).open(quantised.NAME).manifest)
    assert '| `accuracy-1` | `{"confidence": [0.5, 0.75, null]}` | 90.0% | 50.0% |  | 25%, 50%, 25% |' in card
    assert 'asks for nothing gets `{"confidence": 0.875, "min_exit": 2}`' in card
    assert "Content-Type: image/png" in card and "?target=accuracy-1" in card
    assert "`exit_1.commitment`" in card and "`exit_1.logits.coarse`" in card and "fine, coarse" in card


@pytest.mark.parametrize("module", BUNDLES, ids=lambda module: module.NAME)
def test_the_python_in_it_runs(stress_store, module, tmp_path, monkeypatch):
    """Beside the model it gives an array of logits per exit."""
    bundle = Store(stress_store).open(module.NAME)
    (tmp_path / "model.onnx").write_bytes(whole_network(bundle).SerializeToString())
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", write_card(bundle.manifest), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102  # the very text that the card shows
    assert [np.shape(one) for one in names["exits"]] == [(1, len(bundle.manifest.labels))] * bundle.flow.exits


def test_it_says_what_nobody_knows(stress_store):
    """Without a calibration or a measurement the card says so, and shows no curve; one row at a time is a limit."""
    card = write_card(Store(stress_store).open("slices").manifest, one_row=True)
    assert "never calibrated" in card and "Nobody measured" in card and "curve.svg" not in card
    assert "one at a time" in card and "any number" not in card
    assert "model.onnx" not in write_card(Store(stress_store).open("slices").manifest, has_whole=False)


def test_names_break_no_table(stress_store):
    """A bar, a line's end or a backtick in a label stays on its line."""
    manifest = Store(stress_store).open("slices").manifest
    labels = ("a|b", "c\nd", "`e`", "f", "g")
    card = write_card(manifest.model_copy(update={"labels": labels}))
    assert "a\\|b, c d, 'e', f, g." in card
