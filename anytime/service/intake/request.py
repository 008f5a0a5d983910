"""One request to predict, from the bytes of its body and its query to checked tensors, a policy and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from anytime.model_store.manifest import Input, Manifest
from anytime.model_store.nearest import nearest
from anytime.model_store.pixels import PixelsError, preprocess
from anytime.model_store.tensors import Dims, bind
from anytime.policy import Policy
from anytime.service.errors import (
    BatchTooLarge,
    InvalidField,
    InvalidImage,
    UnsupportedMedia,
)
from anytime.service.intake.fields import (
    NO_FIELDS,
    OPTIONS,
    Fields,
    invalid,
    merge_fields,
    option_from_text,
    policy_from_text,
    read_body_fields,
    shape_from_text,
)
from anytime.service.intake.json_text import load, most_lists
from anytime.service.intake.media import IMAGES, JSON, MULTIPART, RAW, Media, media_of, sniff_image
from anytime.service.intake.multipart import Part, read_parts
from anytime.service.intake.tensors import ENCODED, check, check_names, from_json, from_raw

BODY_FIELDS = ("inputs", "policy", *OPTIONS)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request may ask for at most."""

    batch_rows: int
    image_pixels: int


class Prediction(NamedTuple):
    """A request that fits its model: ``tensors[name]`` is (rows, ...) of the manifest's dtype, C-contiguous, finite.

    ``dims``: sizes of the symbolic axes. ``policy``: the request's own layer, not merged yet. ``top``: labels to list.
    ``stream``: None where the request says neither.
    """

    tensors: Mapping[str, np.ndarray]
    rows: int
    dims: Dims
    policy: Policy
    top: int
    trace: bool
    stream: bool | None


class _Upload(NamedTuple):
    """What a reader reads: the content, what it is, the shape that came with it, the model and the bounds."""

    media: Media
    data: bytes
    shape: tuple[int, ...] | None
    manifest: Manifest
    bounds: Bounds


_Content = tuple[Mapping[str, np.ndarray], Fields]


def read_prediction(
    content_type: str | None, body: bytes, query: Fields, manifest: Manifest, bounds: Bounds
) -> Prediction:
    """The request, checked. ``query``: its fields. Raises the ``RequestRefused`` that says what is wrong with it.

    Decoding a picture or long JSON takes milliseconds: call it off the event loop for bodies that may hold them.
    """
    media = media_of(content_type, body)
    reader = _READERS.get(media.name)
    if reader is None:
        raise _unsupported(media, manifest)
    if query.shape is not None and media.name != RAW:
        raise invalid("shape", f"goes with {RAW} only, and the body is {media.name}; leave it out")
    tensors, own = reader(_Upload(media, body, query.shape, manifest, bounds))
    fields = merge_fields(query, own)
    extent = check(tensors, manifest)
    if extent.rows > bounds.batch_rows:
        raise BatchTooLarge(
            f"the request has {extent.rows} rows; at most {bounds.batch_rows} are taken at once: split it",
            rows=extent.rows,
            max_rows=bounds.batch_rows,
        )
    return Prediction(
        tensors, extent.rows, extent.dims, fields.layer,
        min(fields.top or 0, len(manifest.labels)), bool(fields.trace), fields.stream,
    )  # fmt: skip


def _read_json(upload: _Upload) -> _Content:
    manifest = upload.manifest
    body = load(upload.data, "the body", most_lists(manifest.inputs, manifest, upload.bounds.batch_rows))
    if not isinstance(body, dict):
        raise InvalidField('the body is no object; wanted {"inputs": ...}', field="inputs")
    for name in body:
        if name not in BODY_FIELDS:
            hint = "policy fields go under 'policy'" if name in Policy.model_fields else nearest(name, BODY_FIELDS)
            raise invalid(name, f"is no field of the body; {hint}")
    if "inputs" not in body:
        raise invalid("inputs", "is missing; wanted the tensors by name")
    named = _by_name(body["inputs"], manifest.inputs)
    known = {entry.name: entry for entry in manifest.inputs}
    check_names(named, manifest)
    return {name: from_json(value, known[name]) for name, value in named.items()}, read_body_fields(body)


def _by_name(inputs: Any, entries: tuple[Input, ...]) -> Mapping[str, Any]:
    """``inputs`` by name; of a model with one input it may be the tensor itself."""
    names = [entry.name for entry in entries]
    is_tensor = not isinstance(inputs, dict) or (inputs.keys() & set(ENCODED) and not inputs.keys() & set(names))
    if not is_tensor:
        return inputs  # type: ignore[no-any-return]  # a dict by now
    if len(entries) > 1:
        raise invalid("inputs", f"is one tensor; wanted an object with one each for: {', '.join(names)}")
    return {names[0]: inputs}


def _read_raw(upload: _Upload) -> _Content:
    entry = _only_input(upload)
    return {entry.name: from_raw(upload.data, entry, upload.shape)}, NO_FIELDS


def _read_image(upload: _Upload) -> _Content:
    entry = _only_input(upload)
    if entry.preprocess is None:
        raise _unsupported(upload.media, upload.manifest)
    return {entry.name: _picture(upload.data, entry, upload.bounds)}, NO_FIELDS


def _read_multipart(upload: _Upload) -> _Content:
    known = {entry.name: entry for entry in upload.manifest.inputs}
    tensors: dict[str, np.ndarray] = {}
    options: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    seen: set[str] = set()
    for part in read_parts(upload.data, upload.media.params.get("boundary")):
        if part.name in seen:
            raise invalid(part.name, "has two parts; send one part per input, its rows along the first axis")
        seen.add(part.name)
        if part.name in known:
            tensors[part.name] = _read_part(part, known[part.name], upload)
        elif part.name in OPTIONS:
            options[part.name] = option_from_text(part.name, part.data[:64].decode("utf-8", "replace").strip())
        elif part.name == "policy":
            policy = policy_from_text(part.data)
        else:
            names = (*known, "policy", *OPTIONS)
            raise invalid(part.name, f"is neither an input nor an option; {nearest(part.name, names)}")
    return tensors, Fields(policy, **options)


def _read_part(part: Part, entry: Input, upload: _Upload) -> np.ndarray:
    """One input's part, by its own content type; raw bytes of an image input may turn out to be a picture."""
    media = media_of(part.content_type, part.data)
    is_picture = media.is_image or (media.name == RAW and sniff_image(part.data) is not None)
    if is_picture and entry.preprocess is not None:
        return _picture(part.data, entry, upload.bounds)
    if media.name == JSON:
        most = most_lists((entry,), upload.manifest, upload.bounds.batch_rows)
        return from_json(load(part.data, f"the part {part.name!r}", most), entry)
    if media.name != RAW:
        raise _unsupported(media, upload.manifest)
    shape = shape_from_text(media.params["shape"]) if "shape" in media.params else None
    return from_raw(part.data, entry, shape)


_READERS: Mapping[str, Callable[[_Upload], _Content]] = {
    JSON: _read_json,
    RAW: _read_raw,
    MULTIPART: _read_multipart,
    **dict.fromkeys(IMAGES, _read_image),
}


def _picture(data: bytes, entry: Input, bounds: Bounds) -> np.ndarray:
    assert entry.preprocess is not None, "the caller looked"
    row_shape = bind(entry.shape[1:], {})
    try:
        return preprocess(data, entry.preprocess, entry.dtype, row_shape, bounds.image_pixels)
    except PixelsError as error:
        raise InvalidImage(str(error), input=entry.name, reason=error.code) from error


def _only_input(upload: _Upload) -> Input:
    entries = upload.manifest.inputs
    if len(entries) > 1:
        raise _unsupported(upload.media, upload.manifest)
    return entries[0]


def _unsupported(media: Media, manifest: Manifest) -> UnsupportedMedia:
    supported = supported_media(manifest)
    return UnsupportedMedia(
        f"the content type {media.name[:64]!r} is not read for {manifest.name}; send one of: {', '.join(supported)}",
        supported=list(supported),
    )


def supported_media(manifest: Manifest) -> tuple[str, ...]:
    """The content types that a model's requests may have."""
    has_one = len(manifest.inputs) == 1
    takes_image = has_one and manifest.inputs[0].preprocess is not None
    return (JSON, *((RAW,) if has_one else ()), *(IMAGES if takes_image else ()), MULTIPART)
