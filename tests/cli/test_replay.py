import json
import subprocess
import sys
import time

import pytest

from anytime.cli.main import FAULT, main
from anytime.cli.replay import BadPolicy, read_policy
from anytime.model_store import build_flow, read_manifest
from anytime.policy import load_trace
from anytime.training.calibration import hold
from tests.cli.traced import make_folder, make_traced, traced
from tests.policy.conftest import make_manifest

POINTS = {"accuracy-1": {"confidence": 0.9}, "cost-50": {"patience": 1}}


@pytest.fixture
def replayed(capsys):
    """Runs ``anytime replay --json`` and returns what it says of each policy."""

    def call(*words):
        assert main(["replay", *map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def test_policies_are_held_to_the_traces(replayed, tmp_path):
    """Written as JSON or as a query, as an operating point or as rules: the figures are the walk's own."""
    folder = make_traced(tmp_path / "bundle", points=POINTS)
    texts = ('{"confidence": [0.9, null, 0.5], "min_exit": 2}', "confidence=0.9,null,0.5&min_exit=2", "target=cost-50",
             "patience=1")  # fmt: skip
    said = replayed(folder, *(word for text in texts for word in ("--policy", text)))
    manifest = read_manifest(folder)
    trace = load_trace(folder / "traces" / "test.npz", manifest)
    assert (said["rows"], said["traces"]) == (200, str(folder / "traces" / "test.npz"))
    for one in said["policies"]:
        held = hold(one["policy"], manifest, build_flow(manifest), trace)
        assert (one["accuracy"], one["cost"], one["ms"]) == (held.accuracy, held.cost, held.ms)
        assert (one["exit_shares"], one["stop_reasons"]) == (list(held.exit_shares), dict(held.reasons))
    first, second, third, fourth = ({k: v for k, v in one.items() if k != "policy"} for one in said["policies"])
    assert first == second != third == fourth


def test_a_policy_lies_over_the_default(replayed, tmp_path):
    """As a request's does: what it does not replace holds."""
    folder = make_traced(tmp_path / "bundle", default_policy={"confidence": 0.9, "max_exit": 2})
    (said,) = replayed(folder, "--policy", "confidence=1")["policies"]
    assert said["stop_reasons"] == {"max_exit": 1.0}


def test_without_a_policy_what_the_bundle_knows_is_told(tmp_path, capsys):
    """Full depth, the default, and every operating point, in a table."""
    folder = make_traced(tmp_path / "bundle", points=POINTS, default_policy={"confidence": 0.99})
    assert main(["replay", str(folder)]) == 0
    title, header, *lines = capsys.readouterr().out.splitlines()
    assert title == f"double version 1, 200 rows of {folder}/traces/test.npz:"
    assert header.split()[:4] == ["policy", "accuracy", "cost", "ms"]
    assert [line.split("  ")[0] for line in lines] == [
        "exact=true",
        "the default",
        "target=accuracy-1",
        "target=cost-50",
    ]
    assert "100%" in lines[0] and "full_depth" in lines[0]


def test_traces_are_looked_for_beside_the_bundle_too(replayed, tmp_path):
    """In the bundle's folder, beside it, or where they are said to be; without labels there is no accuracy."""
    folder = make_folder(tmp_path / "bundle", make_manifest())
    (tmp_path / "traces").mkdir()
    traced(7, 3, labelled=False).save(tmp_path / "traces" / "test.npz")
    traced(5, 3).save(tmp_path / "other.npz")
    said = replayed(folder)
    assert (said["rows"], said["policies"][0]["accuracy"]) == (7, None)
    assert replayed(folder, tmp_path / "other.npz")["rows"] == 5


def test_a_model_of_the_store_is_found_by_its_name(replayed, tmp_path):
    """With or without a version."""
    make_traced(tmp_path / "store" / "double" / "1")
    for name in ("double", "double:1", "double:latest"):
        assert replayed(name, "--store", tmp_path / "store")["version"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "confidence"], "'confidence' is no policy"),
        (["--policy", "{"], "is not JSON"),
        (["--policy", "confidense=1"], "did you mean 'confidence'?"),
        (["--policy", "target=cost-25"], "has no operating point 'cost-25'"),
        (["none.npz"], "is not a trace"),
    ],
)
def test_what_is_wrong_is_one_line(words, message, tmp_path, capsys):
    """And the exit status of a fault."""
    folder = make_traced(tmp_path / "bundle")
    assert main(["replay", str(folder), *words]) == FAULT
    assert message in capsys.readouterr().err


def test_missing_traces_are_said(tmp_path, capsys):
    """With where they were looked for; so are those without a row."""
    folder = make_folder(tmp_path / "bundle", make_manifest())
    assert main(["replay", str(folder)]) == FAULT
    assert "or beside it" in capsys.readouterr().err
    traced(0, 3).save(tmp_path / "none.npz")
    assert main(["replay", str(folder), str(tmp_path / "none.npz")]) == FAULT
    assert "has no row" in capsys.readouterr().err


def test_a_policy_is_an_object():
    """A list is no policy, whatever the JSON."""
    with pytest.raises(BadPolicy, match="wanted"):
        read_policy("[1]")


def test_ten_thousand_rows_of_sixteen_exits_take_well_under_a_second(tmp_path, capsys):
    """Reading the file included; measured at 0.05 s, and 0.45 s with the start of Python."""
    folder = make_folder(tmp_path / "bundle", make_manifest(16))
    traced(10_000, 16).save(tmp_path / "test.npz")
    start = time.perf_counter()
    assert main(["replay", str(folder), str(tmp_path / "test.npz"), "--policy", "confidence=0.9"]) == 0
    assert time.perf_counter() - start < 1.0
    assert "10,000 rows" in capsys.readouterr().out


def test_neither_torch_nor_the_runtime_is_loaded(tmp_path):
    """Nothing is run, so nothing that runs is imported."""
    folder = make_traced(tmp_path / "bundle")
    command = [sys.executable, "-X", "importtime", "-m", "anytime.cli.main", "replay", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "numpy" in loaded
    assert loaded & {"torch", "onnxruntime", "sklearn", "scipy"} == set()
