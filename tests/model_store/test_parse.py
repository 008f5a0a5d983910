"""Tests of the way from bytes to a manifest."""

import contextlib
import copy
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anytime.model_store import errors, limits
from anytime.model_store.parse import parse_manifest
from tests.model_store import tiny


def broken(change):
    raw = tiny.manifest()
    change(raw)
    return tiny.as_json(raw)


def test_valid():
    """A valid manifest is read field by field."""
    manifest = parse_manifest(tiny.as_json(tiny.manifest()))
    assert (manifest.name, manifest.exits, manifest.labels) == ("tiny", 2, ("cat", "dog", "eel"))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 100_000, b'{"format": 1, "format": 1}',
             b'{"format": 1, "a": ' + b"9" * 5000 + b"}"]
)  # fmt: skip
def test_unreadable(data):
    """What is not strict JSON, or is nested absurdly, is ManifestUnreadable."""
    with pytest.raises(errors.ManifestUnreadable):
        parse_manifest(data)


@pytest.mark.parametrize("number", [0, 2, "1", True, 1.0, None])
def test_format(number):
    """Any format but the integer 1 is UnknownFormat, whatever else is wrong."""
    with pytest.raises(errors.UnknownFormat, match="format 1"):
        parse_manifest(tiny.as_json({"format": number, "nonsense": 1}))


@pytest.mark.parametrize("task", ["multi_label", "regression", "embedding"])
def test_reserved_task(task):
    """A reserved task is refused by name before the rest is looked at."""
    with pytest.raises(errors.ReservedTask, match=task):
        parse_manifest(tiny.as_json({"format": 1, "task": task, "nonsense": 1}))


@pytest.mark.parametrize(
    ("where", "field", "meant"),
    [([], "labls", "labels"), (["stages", 0, "head"], "mac", "macs"), (["state", 0, "start"], "fil", "file"),
     (["files", "head.onnx"], "byte", "bytes"), (["inputs", 0], "dtyp", "dtype")],
)  # fmt: skip
def test_unknown_field(where, field, meant):
    """An unknown field is named with its path and the nearest field known there."""

    def change(raw):
        for key in where:
            raw = raw[key]
        raw[field] = 1

    with pytest.raises(errors.UnknownField, match=f"{field}'; did you mean '{meant}'"):
        parse_manifest(broken(change))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda raw: raw.pop("labels"), "labels is missing"),
        (lambda raw: raw.update(task="guessing"), "task is 'guessing'"),
        (lambda raw: raw.update(version="1"), "version is '1'"),
        (lambda raw: raw.update(version=0), "version is 0"),
        (lambda raw: raw.update(name="A B"), "name is 'A B'"),
        (lambda raw: raw["stages"][1]["body"].update(macs=1.5), r"stages\[1\].body.macs is 1.5"),
        (lambda raw: raw["inputs"][0].update(dtype="complex64"), r"inputs\[0\].dtype is 'complex64'"),
        (lambda raw: raw["inputs"][0]["shape"].append(0), r"inputs\[0\].shape\[2\] is 0"),
        (lambda raw: raw["state"][0].update(start="ones"), r"state\[0\].start is 'ones'"),
        (lambda raw: raw.update(created="2024-01-01T00:00:00"), "created"),
        (lambda raw: raw.update(stages=[]), "stages is"),
        (lambda raw: raw["files"]["head.onnx"].update(sha256="0"), "files.head.onnx.sha256 is '0'"),
    ],
)
def test_wrong_type(change, path):
    """A field of the wrong type or range is named with its path and what was got."""
    with pytest.raises(errors.WrongType, match=path):
        parse_manifest(broken(change))


def test_not_an_object():
    """JSON that is no object is WrongType."""
    with pytest.raises(errors.WrongType, match="JSON object"):
        parse_manifest(b"[1]")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["inputs"][0]["shape"].append(2**40),
        lambda raw: raw["files"]["head.onnx"].update(bytes=limits.FILE_BYTES + 1),
        lambda raw: raw.update(stages=raw["stages"] * limits.STAGES),
        lambda raw: raw["inputs"][0].update(shape=["batch", 2**30, 2**30]),
        lambda raw: raw["state"][0].update(name="x" * 256),
    ],
)
def test_too_large(change):
    """Absurd sizes and counts are TooLarge."""
    with pytest.raises(errors.TooLarge):
        parse_manifest(broken(change))


def test_too_many_bytes():
    """A manifest of too many bytes is refused before it is read."""
    with pytest.raises(errors.TooLarge):
        parse_manifest(b" " * (limits.MANIFEST_BYTES + 1))


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
shares = st.floats(0, 1)


@st.composite
def manifests(draw):
    raw = tiny.manifest()
    raw["labels"] = draw(st.lists(st.text(max_size=8), min_size=3, max_size=3))
    raw["name"], raw["method"] = draw(names), draw(st.text(max_size=20))
    raw["version"] = draw(st.integers(1, 2**53))
    raw["answer"] = draw(st.sampled_from(["latest", "most_confident", "best_validated"]))
    policy = st.dictionaries(st.text(max_size=5), st.none() | shares | st.integers() | st.lists(st.none() | shares))
    raw["calibration"] = {
        "accuracy": draw(st.lists(shares, min_size=2, max_size=2)),
        "temperature": [[draw(st.floats(0.01, 100))], [1.0]],
        "default_policy": draw(st.none() | policy),
    }
    raw["provenance"] = {"seed": draw(st.none() | st.integers()), "metrics": {"accuracy": draw(shares)}}
    return raw


@settings(deadline=None)
@given(manifests())
def test_round_trip(raw):
    """A manifest written as JSON and read again is equal to itself."""
    manifest = parse_manifest(tiny.as_json(raw))
    again = parse_manifest(manifest.to_json().encode())
    assert again == manifest
    assert again.to_json() == manifest.to_json()


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    | st.sampled_from(["batch", "logits", "image", "../x", "/etc/passwd", "head.onnx", "zeros", -1, 0, 2**63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.lists(junk, min_size=1, max_size=3), st.sampled_from(["set", "drop", "add", "move"]))
def test_mutations(seed, values, how):
    """A valid manifest changed at random is either valid still or raises a BundleError, never anything else."""
    rng = random.Random(seed)
    raw = tiny.manifest()
    for value in values:
        mutate(raw, value, how, rng)
    with contextlib.suppress(errors.BundleError):
        manifest = parse_manifest(tiny.as_json(raw))
        assert parse_manifest(manifest.to_json().encode()) == manifest, "what is valid says all that it was told"


def mutate(raw, value, how, rng):
    *way, last = rng.choice([path for path in places(raw) if path])
    inner = raw
    for key in way:
        inner = inner[key]
    if how == "set":
        inner[last] = value
    elif how == "drop" and len(inner) > 1:
        del inner[last]
    elif how == "add" and isinstance(inner, list):
        inner.append(copy.deepcopy(inner[0]))
    elif how == "add":
        inner[json.dumps(value)[:20]] = value
    elif how == "move":
        whole = tiny.manifest()
        inner[last] = rng.choice([whole["labels"], whole["stages"][0], whole["files"], whole["inputs"]])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(data):
    """Bytes that mean nothing raise a BundleError."""
    with pytest.raises(errors.BundleError):
        parse_manifest(data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_text(data):
    """A valid manifest with bytes replaced, cut or doubled raises nothing but a BundleError."""
    text = bytearray(tiny.as_json(tiny.manifest()))
    start = data.draw(st.integers(0, len(text)))
    text[start : start + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    with contextlib.suppress(errors.BundleError):
        manifest = parse_manifest(bytes(text))
        assert parse_manifest(manifest.to_json().encode()) == manifest, "what is valid says all that it was told"
