import dataclasses

import pytest

from anytime.model_store import build_flow
from anytime.training.evaluation.report import evaluate
from anytime.training.evaluation.titles import bundle_titles, rule_title
from tests.training.evaluation.traces import four, manifest


@pytest.mark.parametrize(
    ("method", "titles"),
    [("sdn", ("SDN", "PBEE")), ("ztw", ("ZTW", "ZTW, patience")), ("cascade", ("confidence", "patience"))],
)
def test_rules_have_the_papers_names(method, titles):
    """Where the heads are a paper's; else they are called what they are."""
    assert (rule_title(method, "confidence"), rule_title(method, "patience")) == titles


def test_bundles_are_told_apart():
    """By name; by version where names are the same; by a number where both are."""
    bundle = manifest()
    made = evaluate(bundle, build_flow(bundle), four(), four())
    others = [dataclasses.replace(made, name=name, version=version) for name, version in (("a", 1), ("b", 1), ("b", 1))]
    assert bundle_titles([made]) == ["double"]
    assert bundle_titles([made, dataclasses.replace(made, version=2)]) == ["double-1", "double-2"]
    assert bundle_titles(others) == ["a", "b-1", "b-1_2"]
