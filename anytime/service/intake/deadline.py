"""The deadline that a request asks for, found before its model is known: how long it may wait for a load."""

from __future__ import annotations

from typing import Any

import orjson

from anytime.policy import PolicyError, parse_policy
from anytime.service.intake.fields import Fields
from anytime.service.intake.json_text import SPARE_LISTS, lists_in
from anytime.service.intake.media import JSON, MULTIPART, media_of
from anytime.service.intake.multipart import read_parts

DEADLINE = "deadline_ms"
MOST_LISTS = 250_000
"""What a text may hold to be searched, its model's shapes unknown: 60 ms of parsing."""


def asked_deadline_ms(
    content_type: str | None, body: bytes, query: Fields, default_ms: float | None = None
) -> float | None:
    """``deadline_ms`` as the query or the body has it, None where that is null.

    ``default_ms`` where it is absent, or bad, which the full reading tells.
    """
    if DEADLINE in query.policy:
        return _deadline_ms(query.policy, default_ms)
    return _deadline_ms(_policy(content_type, body), default_ms)


def _policy(content_type: str | None, body: bytes) -> Any:
    """The policy in the body, whatever it is."""
    media = media_of(content_type, body)
    if media.name == JSON:
        whole = _json(body, MOST_LISTS)
        return whole.get("policy") if isinstance(whole, dict) else None
    if media.name == MULTIPART:
        parts = read_parts(body, media.params.get("boundary"))
        return next((_json(part.data, SPARE_LISTS) for part in parts if part.name == "policy"), None)
    return None


def _json(data: bytes, most_lists: int) -> Any:
    if lists_in(data) > most_lists:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _deadline_ms(policy: Any, default_ms: float | None) -> float | None:
    if not isinstance(policy, dict) or DEADLINE not in policy:
        return default_ms
    try:
        return parse_policy({DEADLINE: policy[DEADLINE]}).deadline_ms
    except PolicyError:
        return default_ms
