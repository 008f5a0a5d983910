import dataclasses

from anytime.model_store import build_flow
from anytime.training.evaluation.markdown import to_markdown
from anytime.training.evaluation.report import evaluate
from tests.policy.conftest import make_manifest
from tests.training.evaluation.traces import four, manifest


def report(**changes):
    bundle = manifest()
    return dataclasses.replace(evaluate(bundle, build_flow(bundle), four(), four()), **changes)


def tables(text):
    """Each table's rows, as lists of cells, by the heading above it."""
    found, heading = {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("| "):
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_each_question_is_a_table():
    """What was asked is there, by the figures of the report."""
    said = tables(to_markdown([report(method="sdn")]))
    assert said["Accuracy of each exit"][2] == ["double", "75.0%", "100.0%", "75.0%"]
    assert said["Multiply-adds up to each exit, of the base network's"][2] == ["double", "33%", "70%", "109%"]
    assert said["Overthinking"][2] == ["double", "100.0%", "100.0%"]
    assert said["AUROC of (confidence, correct)"][2] == ["double", "0.833", "n/a", "0.000"]
    assert said["Confident and wrong"][2] == ["double", "3", "3", "label 0", "label 1", "0.9700"]
    macs = said["Accuracy within a share of the base network's multiply-adds"]
    assert macs[0] == ["bundle", "rule", "25%", "50%", "75%", "100%", "Max"]
    assert [row[:3] for row in macs[2:]] == [["double", "SDN", "n/a"], ["double", "PBEE", "n/a"]]
    assert macs[3][-1] == "100.0% (80%, 1)"
    assert len(said["Accuracy within a share of the base network's milliseconds"]) == 4


def test_bundles_stand_side_by_side():
    """As rows of the same table; who has fewer exits has empty cells."""
    other = make_manifest(2)
    trace = four()
    short = dataclasses.replace(trace, outputs={"logits": trace.outputs["logits"][:, :2]}, ms=trace.ms[:, :4])
    two = dataclasses.replace(evaluate(other, build_flow(other), short, short), name="short", notes=("seen before",))
    text = to_markdown([report(), two])
    assert tables(text)["Accuracy of each exit"][2:] == [
        ["double", "75.0%", "100.0%", "75.0%"], ["short", "75.0%", "100.0%", ""],
    ]  # fmt: skip
    assert "- short: seen before" in text


def test_a_label_cannot_break_a_table():
    """A bar within it is written as an entity."""
    made = report()
    worst = dataclasses.replace(made.confident_and_wrong[0], label="a|b")
    said = tables(to_markdown([dataclasses.replace(made, confident_and_wrong=(worst,))]))
    assert said["Confident and wrong"][2][3] == "a&#124;b"


def test_nobody_wrong_is_an_empty_table():
    """And no notes are no heading."""
    text = to_markdown([report(confident_and_wrong=())])
    assert len(tables(text)["Confident and wrong"]) == 2
    assert "Notes" not in text
