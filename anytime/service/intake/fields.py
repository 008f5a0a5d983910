"""The fields of a request beside its tensors: policy, ``top``, ``trace``, ``stream``, from the query and from the body.

Both spell the same flat names; the same field in both is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson

from anytime.model_store.nearest import nearest
from anytime.policy import Policy, PolicyError, parse_policy, parse_query
from anytime.service.errors import InvalidField, InvalidPolicy, MalformedBody, MalformedRequest
from anytime.service.intake.json_text import SPARE_LISTS, lists_in

QUERY_ONLY = ("shape",)
FLAGS = ("trace", "stream")
OPTIONS = ("top", *FLAGS)

MAX_TOP = 1_000_000
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_SHORT = 256
"""A query of so many characters is remembered, for most callers ask the same again and again."""


@dataclass(frozen=True)
class Fields:
    """What one source gave: policy fields as JSON values, options already checked, None where not given."""

    policy: Mapping[str, Any]
    top: int | None = None
    trace: bool | None = None
    stream: bool | None = None
    shape: tuple[int, ...] | None = None

    @property
    def names(self) -> set[str]:
        """Every field that this source gave."""
        return {*self.policy, *(name for name in OPTIONS if getattr(self, name) is not None)}

    @cached_property
    def layer(self) -> Policy:
        """The request's own layer of policy. Raises ``InvalidPolicy``."""
        try:
            return parse_policy(self.policy)
        except PolicyError as error:
            raise invalid_policy(error) from error


NO_FIELDS = Fields({})


def query_fields(text: bytes) -> Fields:
    """The fields of a query string as it was sent. Raises ``MalformedRequest`` and what ``read_query`` does."""
    return (_remembered if len(text) <= _SHORT else _query_fields)(text)


def _query_fields(text: bytes) -> Fields:
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=100, errors="strict")
    except ValueError as error:
        raise MalformedRequest(f"the query cannot be read: {error}") from error
    return read_query(pairs)


_remembered = lru_cache(256)(_query_fields)


def read_query(pairs: Iterable[tuple[str, str]]) -> Fields:
    """The fields of a query string. Raises ``InvalidField`` for an unknown, repeated or bad one."""
    policy: dict[str, str] = {}
    options: dict[str, Any] = {}
    for name, text in pairs:
        if name in policy or name in options:
            raise invalid(name, "is given twice in the query; give it once")
        if name in Policy.model_fields:
            policy[name] = text
        elif name in OPTIONS:
            options[name] = option_from_text(name, text)
        elif name in QUERY_ONLY:
            options[name] = shape_from_text(text)
        else:
            known = (*Policy.model_fields, *OPTIONS, *QUERY_ONLY)
            raise invalid(name, f"is no query parameter; {nearest(name, known)}")
    return Fields(parse_query(policy), **options) if policy or options else NO_FIELDS


def read_body_fields(body: Mapping[str, Any]) -> Fields:
    """The fields of a JSON body beside ``inputs``; the body's keys are known to be fields."""
    options = {name: _option(name, body[name]) for name in OPTIONS if body.get(name) is not None}
    policy = body.get("policy")
    if policy is not None and not isinstance(policy, dict):
        raise invalid("policy", f"is {_kind(policy)}; wanted an object of policy fields")
    return Fields(policy or {}, **options) if policy or options else NO_FIELDS


def option_from_text(name: str, text: str) -> Any:
    """``top``, ``trace`` or ``stream`` as a query or a form spells it."""
    if name in FLAGS:
        if text.lower() not in _BOOLEANS:
            raise invalid(name, f"is {text[:40]!r}; wanted true or false")
        return _BOOLEANS[text.lower()]
    return _option(name, int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text)


def policy_from_text(text: bytes) -> dict[str, Any]:
    """The JSON object of a form's ``policy`` part."""
    lists = lists_in(text)
    if lists > SPARE_LISTS:
        raise invalid("policy", f"holds {lists} lists and objects; wanted one object of policy fields")
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"the part 'policy' is not JSON: {error}; wanted an object of policy fields") from error
    if not isinstance(policy, dict):
        raise invalid("policy", f"is {_kind(policy)}; wanted an object of policy fields")
    return policy


def merge_fields(query: Fields, body: Fields) -> Fields:
    """Both sources as one. Raises ``InvalidField`` where they give the same field."""
    if body is NO_FIELDS or query is NO_FIELDS:
        return query if body is NO_FIELDS else body
    both = query.names & body.names
    if both:
        name = min(both)
        raise invalid(name, "is given in the query and in the body; give it in one of them")
    chosen = {name: getattr(body, name) if getattr(query, name) is None else getattr(query, name) for name in OPTIONS}
    return Fields({**body.policy, **query.policy}, shape=query.shape, **chosen)


def invalid_policy(error: PolicyError) -> InvalidPolicy:
    """What the caller is told of a policy that cannot be followed."""
    return InvalidPolicy(error.code, str(error), field=error.field)


def invalid(name: str, fault: str) -> InvalidField:
    """A refusal that names its field."""
    return InvalidField(f"the field {name[:64]!r} {fault}", field=name[:64])


def _option(name: str, value: Any) -> Any:
    if name in FLAGS:
        if not isinstance(value, bool):
            raise invalid(name, f"is {_kind(value)}; wanted true or false")
    elif type(value) is not int or not 0 <= value <= MAX_TOP:
        raise invalid(name, f"is {_kind(value)}; wanted a whole number from 0 to {MAX_TOP}")
    return value


def shape_from_text(text: str) -> tuple[int, ...]:
    """``2,17``"""
    sizes = text.split(",")
    if not all(size.isascii() and size.isdigit() and len(size) < 16 for size in sizes):
        raise invalid("shape", f"is {text[:40]!r}; wanted the whole shape, rows first, as in shape=2,17")
    return tuple(map(int, sizes))


def _kind(value: Any) -> str:
    return f"{value!r:.40}" if isinstance(value, str | int | float) else f"a JSON {type(value).__name__}"
