"""Tests of turning a file into a request's body."""

import io

import numpy as np
import orjson
import pytest

from anytime.cli.upload import Upload, UploadError, read_upload
from anytime.service.intake.fields import NO_FIELDS
from anytime.service.intake.request import read_prediction
from tests.service.intake.inputs import BOUNDS, TOKENS, VECTOR, png

ROWS = np.array([[1, 2, 3]], np.float32)


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its path."""

    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_pictures_show_what_they_are(file, form):
    """A picture is known by its first bytes, whatever its name."""
    data = png(form=form)
    assert read_upload(file("picture.dat", data)) == Upload(f"image/{form.lower()}", data)


def test_json(file):
    """A JSON body goes as it is; a bare tensor becomes the inputs."""
    body = b' {"inputs": [[1, 2, 3]], "top": 1}'
    assert read_upload(file("a.json", body)) == Upload("application/json", body)
    assert orjson.loads(read_upload(file("b.json", b"[[1, 2, 3]]")).body) == {"inputs": [[1, 2, 3]]}


def test_anything_else_is_raw(file):
    """Bytes that show nothing are a raw tensor."""
    assert read_upload(file("x.bin", ROWS.tobytes())) == Upload("application/octet-stream", ROWS.tobytes())


@pytest.mark.parametrize("order", ["<f4", ">f4"])
def test_npy(file, order):
    """An array arrives at the server as it was, whatever its byte order."""
    upload = read_upload(file("x.npy", npy(ROWS.astype(order))))
    got = read_prediction(upload.content_type, upload.body, NO_FIELDS, VECTOR, BOUNDS)
    np.testing.assert_array_equal(got.tensors["x"], ROWS)


def test_npz(file, tmp_path):
    """Arrays by name arrive as the inputs of these names."""
    np.savez(tmp_path / "x.npz", ids=np.array([[1, 2]]), mask=np.array([[True, False]]))
    upload = read_upload(tmp_path / "x.npz")
    got = read_prediction(upload.content_type, upload.body, NO_FIELDS, TOKENS, BOUNDS)
    assert (got.tensors["ids"].tolist(), got.tensors["mask"].tolist()) == ([[1, 2]], [[True, False]])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.png", b"", "is empty"),
        ("x.npy", b"hello", "no NumPy file"),
        ("x.npz", b"PK\x03\x04", "no NumPy file"),
        ("x.npy", npy(np.array([object()], dtype=object)), "no NumPy file of plain numbers"),
    ],
)
def test_bad_files(file, name, data, says):
    """An empty file, a broken one and pickled objects are refused."""
    with pytest.raises(UploadError, match=says):
        read_upload(file(name, data))
