"""The deadline that a request asks for, found before its model is known: how long it may wait for a load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from anytime.service.intake.media import JSON, MULTIPART, media_of
from anytime.service.intake.multipart import read_parts


def asked_deadline_ms(content_type: str | None, body: bytes, query: Iterable[tuple[str, str]]) -> float | None:
    """``deadline_ms`` as the query or the body has it; None where it is absent or bad, which the full reading tells."""
    for name, text in query:
        if name == "deadline_ms":
            return _positive(text)
    media = media_of(content_type, body)
    if media.name == JSON:
        return _of_policy(_json(body), "policy")
    if media.name == MULTIPART:
        policy = next(
            (part.data for part in read_parts(body, media.params.get("boundary")) if part.name == "policy"), b""
        )
        return _of_policy({"policy": _json(policy)}, "policy")
    return None


def _of_policy(body: Any, name: str) -> float | None:
    policy = body.get(name) if isinstance(body, dict) else None
    return _positive(policy.get("deadline_ms")) if isinstance(policy, dict) else None


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number > 0.0 else None
