"""Manifests that differ in nothing but their inputs, and pictures to send them."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from anytime.model_store import Manifest
from anytime.service.intake.request import Bounds
from tests.model_store import tiny

BOUNDS = Bounds(batch_rows=4, image_pixels=10_000)
PIXELS = {"channels": "gray", "resize": [2, 2]}


def manifest_of(*inputs: dict[str, Any], **axes: tuple[int, int]) -> Manifest:
    """A manifest with these inputs; ``axes``: min and max of each symbol."""
    raw = tiny.manifest() | {
        "inputs": list(inputs),
        "axes": {name: {"min": least, "max": most, "typical": least} for name, (least, most) in axes.items()},
    }
    return Manifest.model_validate_json(json.dumps(raw))


def tensor(name: str = "x", dtype: str = "float32", shape: tuple[int | str, ...] = (3,), **more: Any) -> dict[str, Any]:
    """An input; ``shape`` without the row axis."""
    return {"name": name, "dtype": dtype, "shape": ["batch", *shape], **more}


VECTOR = manifest_of(tensor())
"""One input: (batch, 3) float32."""
PICTURE = manifest_of(tensor("image", shape=(1, 2, 2), preprocess=PIXELS))
"""One input: (batch, 1, 2, 2) float32, from gray pictures of any size."""
TOKENS = manifest_of(tensor("ids", "int64", ("sequence",)), tensor("mask", "bool", ("sequence",)), sequence=(2, 5))
"""Two inputs that share a symbolic axis of 2 to 5."""
OPEN = manifest_of(tensor("x", "float32", ("sequence",)), sequence=(2, 5))
"""One input with a symbolic axis of 2 to 5."""


def png(value: int = 255, size: tuple[int, int] = (4, 4), form: str = "PNG") -> bytes:
    """A gray picture."""
    stream = io.BytesIO()
    Image.fromarray(np.full(size, value, np.uint8)).save(stream, form)
    return stream.getvalue()


def multipart(*parts: tuple[str, bytes] | tuple[str, bytes, str]) -> tuple[str, bytes]:
    """The content type and body of parts: (name, data[, content type])."""
    body = b""
    for name, data, *kind in parts:
        body += b'--limit\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n'
        body += b"".join(b"Content-Type: " + one.encode() + b"\r\n" for one in kind)
        body += b"\r\n" + data + b"\r\n"
    return "multipart/form-data; boundary=limit", body + b"--limit--\r\n"
