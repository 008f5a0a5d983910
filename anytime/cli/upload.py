"""A file on its way to a model: its bytes as a request's body, and the content type that says what they are."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class UploadError(ValueError):
    """A file that cannot be sent."""

    code = "bad_upload"


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of a request."""

    content_type: str
    body: bytes


def read_upload(path: Path) -> Upload:
    """JSON and NumPy files by their suffix, pictures by their first bytes, anything else as a raw tensor.

    A JSON file holds a whole body, or just the tensor of a model with one input. Raises ``UploadError``, ``OSError``.
    """
    from anytime.service.intake.media import JSON, RAW, sniff_image

    data = path.read_bytes()
    if not data:
        raise UploadError(f"{path} is empty; wanted a picture, JSON, .npy, .npz or raw bytes")
    if path.suffix == ".json":
        is_tensor = data.lstrip()[:1] == b"["
        return Upload(JSON, b'{"inputs": ' + data + b"}" if is_tensor else data)
    if path.suffix in (".npy", ".npz"):
        return Upload(JSON, _from_numpy(path, data))
    return Upload(sniff_image(data) or RAW, data)


def _from_numpy(path: Path, data: bytes) -> bytes:
    """Arrays in base64 with their dtype and shape, so that the server can say which of them does not fit."""
    import numpy as np
    import orjson

    try:
        stored = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = dict(stored) if isinstance(stored, Mapping) else stored
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UploadError(f"{path} is no NumPy file of plain numbers: {error}") from error
    if isinstance(arrays, dict):
        return orjson.dumps({"inputs": {name: _encoded(array) for name, array in arrays.items()}})
    return orjson.dumps({"inputs": _encoded(arrays)})


def _encoded(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    data = base64.b64encode(little.tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}
