"""Traces and their file."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anytime.policy import Trace, TraceError, load_trace
from tests.policy.conftest import make_manifest

LEVELS = {"species": 3, "genus": 2}
MANIFEST = make_manifest(4, body_macs=[100, None, 100, 100], levels=LEVELS, commitment=True, stop=[2])
"""4 exits, 7 graphs."""


def recorded(rows=5, seed=0):
    """A trace of ``MANIFEST``'s rows, NaN where exits lack the head and where a graph was not timed."""
    random = np.random.default_rng(seed)
    stop = np.full((rows, 4), np.nan, dtype=np.float32)
    stop[:, 1] = random.normal(size=rows)
    ms = random.random((rows, 7))
    ms[:, 3] = np.nan
    outputs = {
        "logits": random.normal(size=(rows, 4, 3)).astype(np.float32),
        "logits.genus": random.normal(size=(rows, 4, 2)).astype(np.float32),
        "commitment": random.normal(size=(rows, 4)).astype(np.float32),
        "stop": stop,
    }
    return Trace(outputs, ms, np.arange(rows, dtype=np.int64) % 4 - 1)


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_survives_its_file(rows, tmp_path):
    """What is saved is loaded, bit for bit, and nothing but the file is left behind."""
    trace = recorded(rows)
    trace.save(tmp_path / "a.trace")
    loaded = load_trace(tmp_path / "a.trace", MANIFEST)

    assert loaded.rows == rows
    assert loaded.outputs.keys() == trace.outputs.keys()
    for name, values in trace.outputs.items():
        np.testing.assert_array_equal(loaded.outputs[name], values)
        assert loaded.outputs[name].dtype == values.dtype
    np.testing.assert_array_equal(loaded.ms, trace.ms)
    np.testing.assert_array_equal(loaded.label, trace.label)
    assert [path.name for path in tmp_path.iterdir()] == ["a.trace"]


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 4), st.just(2), st.just(3))))
def test_any_number_survives(tmp_path_factory, logits):
    """Every float32, infinities and NaN included, comes back with its bits."""
    path = tmp_path_factory.mktemp("trace") / "t.npz"
    Trace({"logits": logits}, np.ones((len(logits), 4))).save(path)

    assert load_trace(path, make_manifest(2)).outputs["logits"].tobytes() == logits.tobytes()


def test_unknown_labels_are_minus_1(tmp_path):
    """A trace made without labels says of every row that its label is unknown."""
    bare = Trace({"logits": np.zeros((3, 2, 3))}, np.ones((3, 4)))
    bare.save(tmp_path / "t.npz")

    assert bare.label.tolist() == [-1, -1, -1]
    assert load_trace(tmp_path / "t.npz", make_manifest(2)).label.tolist() == [-1, -1, -1]


def test_reads_like_a_live_head():
    """A row's head outputs are what that head wrote: (labels,) and (1,), and nothing that it does not write."""
    trace = recorded()
    first, second = trace.head(MANIFEST, 3, 1), trace.head(MANIFEST, 3, 2)

    assert {name: values.shape for name, values in first.items()} == {
        "logits": (3,),
        "logits.genus": (2,),
        "commitment": (1,),
    }
    assert second.keys() - first.keys() == {"stop"}
    np.testing.assert_array_equal(second["logits"], trace.outputs["logits"][3, 1])
    assert second["stop"][0] == trace.outputs["stop"][3, 1]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    """A save that fails leaves the file that was there as it was, and no part of itself."""
    path = tmp_path / "t.npz"
    recorded().save(path)
    before = path.read_bytes()
    broken = Trace({"logits": np.zeros((1, 4, 3)), "file": np.zeros(1)}, np.ones((1, 7)))
    with pytest.raises(TypeError):
        broken.save(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def arrays(trace):
    """The arrays of a saved trace, by name."""
    return {
        "format": np.int64(1),
        "exits": np.int64(4),
        "graphs": np.int64(7),
        "ms": trace.ms,
        "label": trace.label,
        **trace.outputs,
    }


def changed(**others):
    """Arrays of a trace with some replaced, or left out where None."""
    return {name: value for name, value in (arrays(recorded()) | others).items() if value is not None}


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"format": None}, "format None; wanted 1"),
        ({"format": np.int64(2)}, "format 2; wanted 1"),
        ({"format": np.array([1, 1])}, "wanted 1"),
        ({"format": np.array("one")}, "format one; wanted 1"),
        ({"exits": np.int64(3)}, "exits 3; wanted 4"),
        ({"exits": None}, "exits None; wanted 4"),
        ({"graphs": np.int64(8)}, "graphs 8; wanted 7"),
        ({"ms": None}, "lacks 'ms'"),
        ({"label": None}, "lacks 'label'"),
        ({"logits": None}, "lacks 'logits'"),
        ({"logits.genus": None}, "lacks 'logits.genus'"),
        ({"commitment": None}, "lacks 'commitment'"),
        ({"stop": None}, "lacks 'stop'"),
        ({"ood": np.zeros((5, 4))}, "'ood', which double does not write"),
        ({"extra": np.zeros(3)}, "'extra', which double does not write"),
        ({"ms": np.float64(1)}, "ms is float64 of shape"),
        ({"ms": np.zeros((5, 6))}, r"ms is float64 of shape \(5, 6\)"),
        ({"ms": np.zeros((5, 7), dtype="int64")}, "ms is int64"),
        ({"ms": np.zeros((4, 7))}, r"wanted numbers of shape \(4"),
        ({"logits": np.zeros((5, 4, 4))}, "logits is float64 of shape"),
        ({"logits": np.zeros((5, 3, 3))}, "logits is float64 of shape"),
        ({"logits": np.full((5, 4, 3), "x")}, "logits is <U1"),
        ({"logits": np.zeros((5, 4, 3), dtype=complex)}, "logits is complex128"),
        ({"commitment": np.zeros((5, 4, 1))}, "commitment is float64 of shape"),
        ({"label": np.zeros(4, dtype=np.int64)}, "label is int64 of shape"),
        ({"label": np.zeros(5)}, "label is float64"),
        ({"label": np.array([0, 1, 2, 3, 0])}, "labels 0 to 3; wanted -1 to 2"),
        ({"label": np.array([0, 1, 2, -2, 0])}, "labels -2 to 2; wanted -1 to 2"),
    ],
)
def test_refuses_arrays_that_do_not_fit_the_bundle(others, message, tmp_path):
    """A trace of another format or bundle, or with missing, unknown or misshapen arrays, is refused and told why."""
    path = tmp_path / "t.npz"
    np.savez(path, **changed(**others))

    with pytest.raises(TraceError, match=message):
        load_trace(path, MANIFEST)


def npz(**named):
    """The bytes of an npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **named)
    return buffer.getvalue()


def npy():
    """The bytes of an npy: one array, no archive."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def spoiled(data):
    """The bytes with the middle overwritten."""
    middle = len(data) // 2
    return data[: middle - 50] + b"\xff" * 100 + data[middle + 50 :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a zip",
        npy(),
        npz(**arrays(recorded()))[:-30],
        spoiled(npz(**arrays(recorded(200)))),
        npz(**changed(logits=np.array([object()], dtype=object))),
    ],
    ids=["empty", "text", "npy", "cut", "spoiled", "pickled"],
)
def test_refuses_what_is_no_trace(data, tmp_path):
    """An empty, foreign, cut, spoiled or pickled file is refused by one named error."""
    path = tmp_path / "t.npz"
    path.write_bytes(data)

    with pytest.raises(TraceError, match="is not a trace"):
        load_trace(path, MANIFEST)


def test_refuses_a_missing_file(tmp_path):
    """A file that is not there is the same named error."""
    with pytest.raises(TraceError, match="is not a trace"):
        load_trace(tmp_path / "none.npz", MANIFEST)
