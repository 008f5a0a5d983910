"""What bundles and their stop rules are called where people read them."""

from __future__ import annotations

from collections.abc import Sequence

from anytime.training.evaluation.report import Report
from anytime.training.evaluation.sweep import Rule

_METHODS = {"sdn": "SDN", "ztw": "ZTW"}


def rule_title(method: str, rule: Rule) -> str:
    """The paper's name: patience on the heads of Shallow-Deep Networks is PBEE."""
    known = _METHODS.get(method.lower())
    if rule == "confidence":
        return known or "confidence"
    return "PBEE" if known == "SDN" else f"{known}, patience" if known else "patience"


def bundle_titles(reports: Sequence[Report]) -> list[str]:
    """A title each, all different: the name; with the version, and then a number, where others have the same."""
    titles: list[str] = []
    names = [report.name for report in reports]
    for report in reports:
        title = report.name if names.count(report.name) == 1 else f"{report.name}-{report.version}"
        taken = sum(1 for other in titles if other == title or other.startswith(f"{title}_"))
        titles.append(title if not taken else f"{title}_{taken + 1}")
    return titles
