import json
import resource

import numpy as np
import pytest

from anytime.model_store import Store, build_flow
from anytime.policy import load_trace
from anytime.training.errors import BadOption, DataMissing, ReportUnwritten
from anytime.training.evaluation.folder import Traces, find_traces, to_json, write_evaluation
from anytime.training.evaluation.report import evaluate
from tests.bundles import ztw
from tests.training.evaluation.traces import four, manifest

BUNDLE = manifest()
REPORT = evaluate(BUNDLE, build_flow(BUNDLE), four(), four())
TRACES = Traces(four(), four())


def test_everything_is_kept(tmp_path):
    """Traces that can be read again, the report as JSON and Markdown, each plot twice."""
    write_evaluation(tmp_path / "new" / "out", [REPORT], [TRACES])
    out = tmp_path / "new" / "out"
    assert load_trace(out / "traces" / "double" / "test.npz", BUNDLE).rows == 4
    assert (out / "report.json").read_text() == to_json([REPORT])
    assert json.loads(to_json([REPORT]))["reports"] == [json.loads(REPORT.to_json())]
    assert (out / "report.md").read_text().startswith("# Evaluation")
    assert len([*out.glob("*.png"), *out.glob("*.svg")]) == 8
    assert [one.name for one in out.parent.iterdir()] == ["out"]


def test_what_is_there_is_never_overwritten(tmp_path):
    """An empty folder is as good as none."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadOption, match="exists already and is not empty"):
        write_evaluation(tmp_path / "full", [REPORT], [TRACES])
    write_evaluation(tmp_path / "empty", [REPORT], [TRACES])
    assert (tmp_path / "empty" / "report.md").exists()


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    """No half of a report; the error says what the disk said."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))
        with pytest.raises(ReportUnwritten, match="out could not be written: File too large; nothing is left of it"):
            write_evaluation(tmp_path / "out", [REPORT], [TRACES])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """Below a file there is no folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportUnwritten, match="Not a directory"):
        write_evaluation(tmp_path / "file" / "out", [REPORT], [TRACES])


@pytest.fixture
def bundle(tmp_path):
    """A bundle in a run folder of its own."""
    return ztw.build(tmp_path / "run" / "bundle")


def save(bundle, folder, rows=3):
    from anytime.training.record import record

    folder.mkdir(parents=True)
    for split in ("calibration", "test"):
        record(bundle, ztw.inputs(rows), np.zeros(rows, np.int64)).save(folder / f"{split}.npz")


def test_traces_are_found_beside_the_bundle(bundle, tmp_path):
    """Or in the folder named, directly or, as an evaluation leaves them, in one of the bundle's name."""
    with pytest.raises(DataMissing, match="no traces of ztw: looked for .* name their folder with --traces"):
        find_traces(None, [bundle])
    save(bundle, tmp_path / "run" / "traces")
    save(bundle, tmp_path / "direct", 4)
    save(bundle, tmp_path / "earlier" / "ztw", 5)
    found = [find_traces(named, [bundle])[0].test.rows for named in (None, tmp_path / "direct", tmp_path / "earlier")]
    assert found == [3, 4, 5]


def test_several_bundles_have_a_folder_each(bundle, stress_store, tmp_path):
    """The traces of one are never taken for the other's."""
    two = [bundle, Store(stress_store).open(ztw.NAME, 1)]
    save(bundle, tmp_path / "direct")
    with pytest.raises(DataMissing, match="ztw-1"):
        find_traces(tmp_path / "direct", two)
    for number, title in enumerate(("ztw-1", "ztw-1_2")):
        save(bundle, tmp_path / "both" / title, 3 + number)
    assert [one.test.rows for one in find_traces(tmp_path / "both", two)] == [3, 4]
