import xml.etree.ElementTree as ElementTree

import pytest

from anytime.model_store import Store
from anytime.training.calibration import calibrate
from anytime.training.calibration.calibrate import with_calibration
from anytime.training.curve import draw_curve, exit_costs, exit_shares_right
from anytime.training.record import record
from tests.bundles import eann, quantised


@pytest.fixture(scope="module")
def manifest(stress_store):
    """EANN, calibrated on 60 rows whose labels are what its fourth exit says."""
    bundle = Store(stress_store).open("eann")
    trace = record(bundle, eann.inputs(60))
    trace.label[:] = trace.outputs["logits"][:, 3].argmax(axis=1)
    return with_calibration(bundle.manifest, calibrate(bundle.manifest, bundle.flow, trace))


def test_costs_are_those_of_the_calibration(manifest):
    """A row that leaves at an exit has paid for everything before it."""
    assert exit_costs(manifest) == pytest.approx(manifest.calibration.cost)


def test_test_rows_come_first(manifest):
    """Accuracies of test rows where all are told, agreements else, and then the calibration's."""

    def told(name, exits):
        metrics = {f"test.{name}.exit-{exit}": exit / 10 for exit in range(1, exits + 1)}
        provenance = manifest.provenance.model_copy(update={"metrics": metrics})
        return exit_shares_right(manifest.model_copy(update={"provenance": provenance}))

    assert told("accuracy", 5) == ("accuracy on test rows", [0.1, 0.2, 0.3, 0.4, 0.5])
    assert told("agreement", 5)[0] == "agreement with the network on test rows"
    assert told("accuracy", 4) == ("accuracy on calibration rows", manifest.calibration.accuracy)


def test_the_picture(manifest):
    """It is an SVG file, the same to the byte each time, without a date, and with a mark for each exit and point."""
    svg = draw_curve(manifest)
    assert svg == draw_curve(manifest) and b"<dc:date>" not in svg
    root = ElementTree.fromstring(svg)  # noqa: S314  # written three lines above
    text = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"1", "5", "exits", "accuracy on calibration rows", "operating points, on calibration rows"} <= set(text)


def test_nothing_known_nothing_drawn(stress_store):
    """A bundle that was never measured has no curve."""
    assert draw_curve(Store(stress_store).open(quantised.NAME).manifest) is None
