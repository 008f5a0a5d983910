"""What bundles and their stop rules are called where people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

Rule = Literal["confidence", "patience"]
"""A stop rule that an evaluation tries."""

_METHODS = {"sdn": "SDN", "ztw": "ZTW"}


class Named(Protocol):
    """A manifest, or a report of it."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...


def rule_title(method: str, rule: Rule) -> str:
    """The paper's name: patience on the heads of Shallow-Deep Networks is PBEE."""
    known = _METHODS.get(method.lower())
    if rule == "confidence":
        return known or "confidence"
    return "PBEE" if known == "SDN" else f"{known}, patience" if known else "patience"


def bundle_titles(bundles: Sequence[Named]) -> list[str]:
    """A title each, all different, fit for a folder: the name; with version, then a number, where others have the same."""
    titles: list[str] = []
    names = [one.name for one in bundles]
    for one in bundles:
        title = one.name if names.count(one.name) == 1 else f"{one.name}-{one.version}"
        taken = sum(1 for other in titles if other == title or other.startswith(f"{title}_"))
        titles.append(title if not taken else f"{title}_{taken + 1}")
    return titles
