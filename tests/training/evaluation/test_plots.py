import dataclasses
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import pytest
from PIL import Image

from anytime.model_store import build_flow
from anytime.training.evaluation.plots import draw_plots
from anytime.training.evaluation.report import evaluate
from tests.policy.conftest import make_manifest
from tests.training.evaluation.traces import four, manifest

NAMES = ("accuracy-macs", "accuracy-ms", "hindsight-improvability", "reliability")


@pytest.fixture(scope="module")
def reports():
    """One whose base network's accuracy is known, and one whose is not."""
    mixed = make_manifest(3, body_macs=100, head_macs=[10, 20, 30], reads_heads={3: [1, 2]})
    made = [evaluate(bundle, build_flow(bundle), four(), four()) for bundle in (manifest(), mixed)]
    return [dataclasses.replace(made[0], name="sdn-net", method="sdn"), dataclasses.replace(made[1], name="ztw-net")]


@pytest.fixture(scope="module")
def drawn(reports, tmp_path_factory):
    """The folder of their plots."""
    folder = tmp_path_factory.mktemp("plots")
    paths = draw_plots(reports, folder)
    assert sorted(paths) == sorted(folder.iterdir())
    return folder


def test_plots_are_pictures(drawn):
    """Each as PNG and as SVG that a parser takes, both of a size to look at, with a curve per rule and bundle."""
    assert sorted(path.name for path in drawn.iterdir()) == sorted(
        f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")
    )
    for name in NAMES:
        with Image.open(drawn / f"{name}.png") as picture:
            assert picture.size == (960, 660)
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 10
        assert ElementTree.parse(drawn / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314 # our own file
    curves = (drawn / "accuracy-macs.svg").read_text()
    assert all(f"<!-- {title} -->" in curves for title in ("sdn-net: SDN", "sdn-net: PBEE", "ztw-net: patience"))


def test_the_same_reports_are_the_same_bytes(reports, tmp_path):
    """No date, no chance, and no taste of the reader's own settings."""
    drawn = []
    for name, size in (("one", 9), ("two", 20)):
        (tmp_path / name).mkdir()
        with mpl.rc_context({"font.size": size}):
            drawn.append([path.read_bytes() for path in draw_plots(reports[:1], tmp_path / name)])
    assert drawn[0] == drawn[1]


def test_the_base_network_is_a_mark(drawn):
    """A cross where its accuracy is known, a line at its cost where it is not."""
    said = (drawn / "accuracy-ms.svg").read_text()
    assert "<!-- sdn-net: base network -->" in said
    assert "<!-- ztw-net: base network's cost -->" in said


def test_one_exit_is_enough(tmp_path):
    """A network without early exits has a report, and plots of a point each."""
    alone = make_manifest(1)
    trace = four()
    first = dataclasses.replace(trace, outputs={"logits": trace.outputs["logits"][:, :1]}, ms=trace.ms[:, :2])
    made = evaluate(alone, build_flow(alone), first, first)
    assert [family.best.point.accuracy for family in made.families] == [0.75, 0.75]
    assert len(draw_plots([made], tmp_path)) == 8
