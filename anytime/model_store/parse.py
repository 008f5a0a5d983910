"""From the bytes of ``manifest.json`` to a ``Manifest``, or to the one named error that says what is wrong with them.

The format is looked at first, then the task, then all else: a manifest of a later format is told so, and nothing more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn, get_args

from pydantic import ValidationError

from anytime.model_store import checks, limits
from anytime.model_store.errors import (
    BundleError,
    ManifestUnreadable,
    ReservedTask,
    TooLarge,
    UnknownField,
    UnknownFormat,
    WrongType,
)
from anytime.model_store.manifest import FORMAT, RESERVED_TASKS, Manifest, Part
from anytime.model_store.nearest import nearest

Loc = tuple[int | str, ...]

_TOO_LONG = ("too_long", "string_too_long")
_SIZES = (limits.AXIS, limits.FILE_BYTES)


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in ``data``, with its fields checked one by one and together.

    Raises the ``BundleError`` that names the fault.
    """
    if len(data) > limits.MANIFEST_BYTES:
        raise TooLarge(f"the manifest has {len(data)} bytes; format {FORMAT} allows {limits.MANIFEST_BYTES}")
    text = _decode(data)
    raw = _load(text)
    _check_format(raw)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise _named(error, raw) from error
    checks.check(manifest)
    return manifest


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestUnreadable(f"the manifest is not UTF-8 text ({error}); write it as UTF-8 JSON") from error


def _load(text: str) -> dict[str, Any]:
    try:
        raw = json.loads(
            text, object_pairs_hook=_distinct, parse_constant=_refuse_number, parse_float=_finite
        )  # fmt: skip
    except RecursionError as error:
        raise ManifestUnreadable("the manifest is nested too deeply; format 1 needs a dozen levels") from error
    except ValueError as error:
        raise ManifestUnreadable(f"the manifest is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise WrongType(f"the manifest is {_shown(raw)}; wanted a JSON object")
    return raw


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ManifestUnreadable(f"the manifest gives the key {twice!r} twice in one object; keep one of them")
    return found


def _refuse_number(constant: str) -> NoReturn:
    raise ManifestUnreadable(f"the manifest holds {constant}, which is not JSON; give a finite number or null")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _refuse_number(digits[:40])
    return number


def _check_format(raw: dict[str, Any]) -> None:
    got = raw.get("format")
    if type(got) is not int or got != FORMAT:
        raise UnknownFormat(f"the manifest's format is {_shown(got)}; this program reads format {FORMAT}")
    task = raw.get("task")
    if isinstance(task, str) and task in RESERVED_TASKS:
        raise ReservedTask(
            f"the task {task!r} is reserved for a later format; format {FORMAT} defines 'classification' only"
        )


def _named(error: ValidationError, raw: dict[str, Any]) -> BundleError:
    """The first fault that tells most: an unknown field, then a size, then whatever pydantic saw first."""
    faults = error.errors(include_url=False)
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            return _unknown_field(fault["loc"], raw)
    for fault in faults:
        if fault["type"] in _TOO_LONG or fault.get("ctx", {}).get("le") in _SIZES:
            return TooLarge(f"the manifest's {_path(fault['loc'], raw)} is beyond its bound: {fault['msg']}")
    if faults[0]["type"] == "json_invalid":
        return ManifestUnreadable(f"the manifest is not JSON: {faults[0]['msg']}")
    return _wrong_type(faults, raw)


def _unknown_field(loc: Loc, raw: dict[str, Any]) -> UnknownField:
    known = sorted(_part_at(loc[:-1]).model_fields)
    return UnknownField(f"the manifest has the unknown field {_path(loc, raw)!r}; {nearest(loc[-1], known)}")


def _wrong_type(faults: Sequence[Any], raw: dict[str, Any]) -> WrongType:
    path = _path(faults[0]["loc"], raw)
    wanted = [fault["msg"] for fault in faults if _path(fault["loc"], raw) == path]
    if faults[0]["type"] == "missing":
        return WrongType(f"the manifest's {path or 'top'} is missing; give it")
    return WrongType(
        f"the manifest's {path} is {_shown(faults[0]['input'])}; wanted: {' or '.join(dict.fromkeys(wanted))}"
    )


def _path(loc: Loc, raw: object) -> str:
    """``stages[0].head.macs``: the location without the names of union members that pydantic mixes in."""
    path = ""
    for index, key in enumerate(loc):
        if isinstance(key, int):
            path += f"[{key}]"
            raw = raw[key] if isinstance(raw, list) and 0 <= key < len(raw) else None
        elif isinstance(raw, dict) and (key in raw or index == len(loc) - 1):
            path += f".{key}" if path else key
            raw = raw.get(key)
    return path[:500]


def _part_at(loc: Loc) -> type[Part]:
    """The part of the manifest in which a location lies."""
    part: type[Part] = Manifest
    for key in loc:
        if isinstance(key, str) and key in part.model_fields:
            part = next(iter(_parts_in(part.model_fields[key].annotation)), part)
    return part


def _parts_in(annotation: object) -> list[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    return [part for one in get_args(annotation) for part in _parts_in(one)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
