"""A merged policy read against one bundle: thresholds per exit, limits as numbers, faults as errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from anytime.model_store import Flow, Manifest
from anytime.policy.errors import PolicyConflict, PolicyOutOfRange, PolicyUnsupported
from anytime.policy.layers import check_layer, merge
from anytime.policy.policy import RULES, Policy, parse_policy

Rule = Literal["confidence", "entropy", "patience", "commitment", "learned", "stable"]
Thresholds = tuple[float | None, ...]
"""One entry per exit; None: cannot fire there."""
AUTO: Literal["auto"] = "auto"
_HEADS = {"commitment": "commitment", "learned": "stop"}
_READ: tuple[Rule, ...] = ("confidence", "entropy", "patience", "commitment", "learned")
"""The stop rules of classification."""


@dataclass(frozen=True)
class Resolved:
    """What a row is to do on one bundle. Exits count from 1; a rule's threshold at one is ``[exit - 1]``."""

    exits: int
    confidence: Thresholds | None
    entropy: Thresholds | None
    patience: int | None
    commitment: Thresholds | None
    learned: Thresholds | None
    combine: Literal["any", "all"]
    max_macs: int | None
    max_ms: float | None
    deadline_ms: float | None
    min_exit: int
    max_exit: int
    level: int | Literal["auto"]
    exact: bool
    priority: int
    answer: Literal["latest", "most_confident", "best_validated"]
    passive: frozenset[int]
    """Exits that ``best_validated`` never answers with."""
    budget_field: Literal["max_macs", "max_cost"] = "max_macs"
    """The caller's field that ``max_macs`` comes from."""

    @property
    def commitment_is_condition(self) -> bool:
        """Beside confidence or entropy, commitment conditions those two and is no rule of its own."""
        return self.commitment is not None and (self.confidence is not None or self.entropy is not None)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The stop rules given, in the order in which they name the reason."""
        conditions = ("commitment",) if self.commitment_is_condition else ()
        return tuple(name for name in _READ if getattr(self, name) is not None and name not in conditions)

    def can_stop(self, exit: int) -> bool:
        """Whether a rule may fire at an exit: it is permitted, not passive, and the thresholds there can be passed."""
        if exit < self.min_exit or exit in self.passive or not self.rules:
            return False
        able = (self._able(name, exit) for name in self.rules)
        return all(able) if self.combine == "all" else any(able)

    def can_agree(self, exit: int) -> bool:
        """Whether enough exits have spoken by then for ``patience`` to hold."""
        heard = exit - sum(1 for passive in self.passive if passive <= exit)
        return self.patience is not None and heard > self.patience

    def _able(self, name: Rule, exit: int) -> bool:
        if name == "patience":
            return self.can_agree(exit)
        if name in ("confidence", "entropy") and self.commitment is not None and self.commitment[exit - 1] is None:
            return False
        thresholds: Thresholds = getattr(self, name)
        return thresholds[exit - 1] is not None


def resolve(policy: Policy, manifest: Manifest, flow: Flow) -> Resolved:
    """What ``policy`` (merged) asks of this bundle.

    Raises ``PolicyError``: a threshold list of the wrong length, an exit or level that does not exist, a head that the
    bundle lacks, a target that it does not name.
    """
    check_layer(policy)
    policy = _expand_target(policy, manifest)
    exits = manifest.exits
    max_exit = _exit(policy, "max_exit", exits, default=exits)
    min_exit = _exit(policy, "min_exit", exits, default=1)
    if min_exit > max_exit:
        raise PolicyConflict("min_exit", f"min_exit {min_exit} is beyond max_exit {max_exit}")
    if policy.stable is not None:
        raise PolicyUnsupported("stable", "'stable' is for tasks other than classification; use patience or confidence")
    if policy.level == AUTO and policy.confidence is None:
        raise PolicyConflict("level", "level 'auto' needs a confidence: the row stops once any level passes it")
    max_macs, budget_field = _budget(policy, flow)
    return Resolved(
        exits=exits,
        confidence=_thresholds(policy, "confidence", manifest),
        entropy=_thresholds(policy, "entropy", manifest),
        patience=policy.patience,
        commitment=_thresholds(policy, "commitment", manifest),
        learned=_thresholds(policy, "learned", manifest),
        combine=policy.combine or "any",
        max_macs=max_macs,
        max_ms=policy.max_ms,
        deadline_ms=policy.deadline_ms,
        min_exit=min_exit,
        max_exit=max_exit,
        level=_level(policy, manifest),
        exact=bool(policy.exact),
        priority=policy.priority or 0,
        answer=manifest.answer,
        passive=_passive(manifest),
        budget_field=budget_field,
    )


def check_default(manifest: Manifest, flow: Flow) -> Policy | None:
    """The bundle's default policy, checked with its operating points; None where it has none.

    Raises ``PolicyError`` where a stored policy cannot be followed, or an operating point stores more than stop rules.
    """
    calibration = manifest.calibration
    if calibration is None:
        return None
    for point in calibration.operating_points:
        stored = parse_policy(point.policy)
        extra = next((name for name in stored.model_fields_set if name not in (*RULES, "combine")), None)
        if extra is not None:
            raise PolicyConflict(extra, f"operating point {point.name!r} stores {extra!r}: it may hold stop rules only")
        resolve(merge([stored]), manifest, flow)
    if calibration.default_policy is None:
        return None
    default = parse_policy(calibration.default_policy)
    resolve(merge([default]), manifest, flow)
    return default


def _expand_target(policy: Policy, manifest: Manifest) -> Policy:
    """The policy with the target's stored rules in its place, less those that a null took out."""
    if policy.target is None:
        return policy
    points = manifest.calibration.operating_points if manifest.calibration else ()
    for point in points:
        if point.name == policy.target:
            stored = parse_policy(point.policy)
            fields: dict[str, Any] = {name: getattr(stored, name) for name in stored.model_fields_set}
            fields |= {name: getattr(policy, name) for name in policy.model_fields_set if name != "target"}
            return Policy.model_construct(_fields_set=set(fields), **fields)
    known = ", ".join(point.name for point in points) or "none"
    raise PolicyUnsupported("target", f"{manifest.name} has no operating point {policy.target!r}; it has: {known}")


def _exit(policy: Policy, name: str, exits: int, default: int) -> int:
    value: int | None = getattr(policy, name)
    if value is not None and value > exits:
        raise PolicyOutOfRange(name, f"{name} is {value}, but the model has {exits} exits")
    return default if value is None else value


def _thresholds(policy: Policy, name: str, manifest: Manifest) -> Thresholds | None:
    """One threshold per exit; 1 becomes None, for nothing is above it, and so do exits without the head."""
    value: float | tuple[float | None, ...] | None = getattr(policy, name)
    if value is None:
        return None
    exits = manifest.exits
    is_list = isinstance(value, tuple)
    entries = value if isinstance(value, tuple) else (value,) * exits
    if len(entries) != exits:
        raise PolicyOutOfRange(
            name, f"{name} has {len(entries)} entries, but the model has {exits} exits: give one per exit"
        )
    has = _written(manifest, _HEADS[name]) if name in _HEADS else (True,) * exits
    if not any(has) or (is_list and any(e is not None and not h for e, h in zip(entries, has, strict=True))):
        where = "at no exit" if not any(has) else f"at exit {', '.join(str(k) for k, h in enumerate(has, 1) if h)} only"
        raise PolicyUnsupported(name, f"{manifest.name} cannot honour {name!r}: it has a {_HEADS[name]} head {where}")
    return tuple(e if h and e is not None and e < 1.0 else None for e, h in zip(entries, has, strict=True))


def _written(manifest: Manifest, output: str) -> tuple[bool, ...]:
    return tuple(output in stage.head.writes.values() for stage in manifest.stages)


def _level(policy: Policy, manifest: Manifest) -> int | Literal["auto"]:
    if policy.level is None:
        return 0
    if not manifest.level_names:
        raise PolicyUnsupported("level", f"{manifest.name} predicts no levels; leave 'level' out")
    if policy.level == AUTO:
        return AUTO
    if policy.level not in manifest.level_names:
        known = ", ".join((*manifest.level_names, AUTO))
        raise PolicyUnsupported("level", f"{manifest.name} has no level {policy.level!r}; it has: {known}")
    return manifest.level_names.index(policy.level)


def _budget(policy: Policy, flow: Flow) -> tuple[int | None, Literal["max_macs", "max_cost"]]:
    """The tighter of ``max_macs`` and ``max_cost``, and which it is.

    A cost printed in a reply may be sent back and holds: hence the 1e-12, far above a float's rounding.
    """
    if policy.max_cost is None:
        return policy.max_macs, "max_macs"
    macs = int(policy.max_cost * flow.macs_full * (1.0 + 1e-12))
    if policy.max_macs is not None and policy.max_macs <= macs:
        return policy.max_macs, "max_macs"
    return macs, "max_cost"


def _passive(manifest: Manifest) -> frozenset[int]:
    if manifest.answer != "best_validated":
        return frozenset()
    calibration = manifest.calibration
    accuracy = calibration.accuracy if calibration else None
    assert accuracy is not None, "checked when the manifest was read"
    return frozenset(k for k in range(2, manifest.exits + 1) if accuracy[k - 1] <= max(accuracy[: k - 1]))
