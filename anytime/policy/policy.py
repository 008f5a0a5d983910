"""The policy as a caller writes it: the fields, their ranges, their spelling in JSON and in a query string.

How layers of it combine is told in ``layers``; what it means for a bundle in ``resolve``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anytime.policy.errors import PolicyOutOfRange, UnknownPolicyField

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, le=1e15, allow_inf_nan=False)]
PerExit = Share | tuple[Share | None, ...] | None
"""One threshold for every exit, or one entry per exit; null there means that the rule cannot fire at that exit."""

RULES = ("confidence", "entropy", "patience", "commitment", "learned", "stable")
"""The stop rules, in the order in which they name the reason."""
LIMITS = ("max_cost", "max_macs", "max_ms", "max_exit")
GROUP = (*RULES, "combine", "target")
"""What one layer replaces as a whole."""
NAMES = ("level", "target", "combine")
"""Fields whose value is a name, though it may look like a number: a level may be called ``2``."""


class Policy(BaseModel):
    """When to stop a row. Every field is optional; an explicit null removes what a lower layer gave."""

    __slots__ = ("_hash",)

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    confidence: PerExit = Field(None, description="Stop when the top probability is above this; 1 never stops.")
    entropy: PerExit = Field(None, description="Stop when 1 - normalised entropy is above this; 1 never stops.")
    patience: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="Stop after this many agreeing comparisons of consecutive exits in a row."
    )
    commitment: PerExit = Field(
        None, description="Stop when the commitment is above this; beside confidence or entropy, a condition on them."
    )
    learned: PerExit = Field(None, description="Stop when the learned stop head is above this.")
    stable: Positive | tuple[Positive | None, ...] | None = Field(
        None, description="Stop when the relative change since the last exit is below this; not for classification."
    )
    deadline_ms: Annotated[Positive, Field(le=86_400_000.0)] | None = Field(
        None, description="Wall clock from the request's head to the reply; the best answer by then is given."
    )
    max_cost: Positive | None = Field(None, description="Most multiply-adds, as a share of full depth's.")
    max_macs: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(None, description="Most multiply-adds.")
    max_ms: Positive | None = Field(None, description="Most compute, in milliseconds.")
    max_exit: Annotated[int, Field(ge=1)] | None = Field(None, description="Go no deeper than this exit.")
    min_exit: Annotated[int, Field(ge=1)] | None = Field(None, description="No rule stops before this exit.")
    level: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="The label level that rules read, or `auto`: the finest that passes."
    )
    target: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="A named operating point of the bundle."
    )
    exact: bool | None = Field(None, description="Full depth, or an error.")
    combine: Literal["any", "all"] | None = Field(None, description="Whether any or all rules must hold.")
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = Field(None, description="Higher is served sooner.")

    def __eq__(self, other: object) -> bool:
        """Whether both say the same of the same fields: a null that removes a field is not silence about it."""
        if not isinstance(other, Policy):
            return NotImplemented
        return self.model_fields_set == other.model_fields_set and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        """Remembered, for by its policy a request finds its program."""
        found: int | None = getattr(self, "_hash", None)
        if found is None:
            values = self.__dict__
            found = hash(frozenset([(name, values[name]) for name in self.model_fields_set]))
            object.__setattr__(self, "_hash", found)
        return found

    def given(self, name: str) -> bool:
        """Whether this layer sets the field to a value (not null)."""
        return getattr(self, name) is not None


SILENT = Policy()
"""Says nothing: what most requests bring, made once."""


def parse_policy(fields: Mapping[str, Any]) -> Policy:
    """A policy from JSON values; lists stand for tuples.

    Raises ``UnknownPolicyField`` or ``PolicyOutOfRange``, both naming the field.
    """
    if not fields:
        return SILENT
    for name in fields:
        if name not in Policy.model_fields:
            raise _unknown(str(name)[:64])
    try:
        return Policy.model_validate({name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()})
    except ValidationError as error:
        raise _out_of_range(error, fields) from error


def parse_query(fields: Mapping[str, str]) -> dict[str, Any]:
    """JSON values of policy fields written in a query string: ``0.9``, ``0.9,null,0.8``, ``true``, ``null``, a name."""
    return {name: _named(text) if name in NAMES else _value(text) for name, text in fields.items()}


def _named(text: str) -> str | None:
    return None if text == "null" else text


def _value(text: str) -> Any:
    if "," in text:
        return [_value(part) for part in text.split(",")]
    text = text.strip(" ")
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return int(text) if not number["fraction"] and len(text) < _INTEGER_CHARS else float(text)


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
"""As JSON spells it: Python would read ``1_000``, ``+1`` and other scripts' digits too."""
_INTEGER_CHARS = 1000
"""A longer one is out of every range, and Python reads no integer of more than 4,300."""
_WORDS: dict[str, bool | None] = {"null": None, "true": True, "false": False}


def _unknown(name: str) -> UnknownPolicyField:
    near = difflib.get_close_matches(name, Policy.model_fields, n=1, cutoff=0.0)
    return UnknownPolicyField(name, f"unknown policy field {name!r}; did you mean {near[0]!r}?")


def _out_of_range(error: ValidationError, fields: Mapping[str, Any]) -> PolicyOutOfRange:
    """One sentence for pydantic's list: of a union's members the one that got furthest into the value tells most."""
    details = error.errors(include_url=False, include_context=False)
    name = str(details[0]["loc"][0])
    depth = max(len(d["loc"]) for d in details if d["loc"][0] == name)
    wanted = "; or ".join(dict.fromkeys(_wanted(d["msg"]) for d in details
                                        if d["loc"][0] == name and len(d["loc"]) == depth))  # fmt: skip
    return PolicyOutOfRange(name, f"policy field {name!r} is {repr(fields[name])[:80]}; it should be {wanted}")


def _wanted(message: str) -> str:
    for said, meant in _PHRASES.items():
        message = message.replace(said, meant)
    return message


_PHRASES = {
    "Input should be ": "",
    "a valid tuple": "a list with one entry per exit",
    "String should have": "text with",
}
