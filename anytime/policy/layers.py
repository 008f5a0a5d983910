"""How layers of policy combine: the request's over the bundle's default, and that over the service's.

Stop rules, ``combine`` and ``target`` are one group: a layer that gives any of them replaces the inherited group. All
else merges field by field. A null removes one field, and beside an inherited target one of the rules that it brings.
``exact`` and (rules, ``target``, ``max_*``) exclude each other: within a layer that is an error, between layers the
upper one wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from anytime.policy.errors import PolicyConflict
from anytime.policy.policy import GROUP, LIMITS, RULES, Policy

STOPS_EARLY = (*RULES, "target", *LIMITS)
"""What ``exact`` excludes."""


def merge(layers: Iterable[Policy]) -> Policy:
    """One policy from several, lowest layer first.

    Raises ``PolicyConflict`` for a layer that contradicts itself.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        check_layer(layer)
        merged = _lay_over(merged, layer)
    return Policy.model_construct(_fields_set=set(merged), **merged)


def check_layer(layer: Policy) -> None:
    """Raises ``PolicyConflict`` where fields of one layer exclude each other."""
    if layer.given("target"):
        other = _first_given(layer, (name for name in GROUP if name != "target"))
        if other is not None:
            raise PolicyConflict(
                other, f"policy fields 'target' and {other!r} exclude each other: a target brings its own"
            )
    if layer.exact:
        other = _first_given(layer, STOPS_EARLY)
        if other is not None:
            raise PolicyConflict(
                other, f"policy fields 'exact' and {other!r} exclude each other: exact means full depth"
            )


def _first_given(layer: Policy, names: Iterable[str]) -> str | None:
    return next((name for name in names if layer.given(name)), None)


def _lay_over(below: dict[str, Any], layer: Policy) -> dict[str, Any]:
    replaced = _replaced(layer)
    merged = {name: value for name, value in below.items() if name not in replaced}
    own = {name: getattr(layer, name) for name in layer.model_fields_set}
    has_target = {**merged, **own}.get("target") is not None
    for name, value in own.items():
        if value is None and not (has_target and name in GROUP):
            merged.pop(name, None)
        else:
            merged[name] = value  # a null beside a target is kept: it takes that rule out of what the target expands to
    return merged


def _replaced(layer: Policy) -> set[str]:
    """The inherited fields that a layer sets aside."""
    replaced: set[str] = set()
    if layer.exact:
        replaced.update(GROUP, STOPS_EARLY)
    if _first_given(layer, GROUP) is not None:
        replaced.update(GROUP)
    if _first_given(layer, STOPS_EARLY) is not None:
        replaced.add("exact")
    return replaced
