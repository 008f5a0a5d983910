"""Tests of replies as JSON."""

import json

import numpy as np
import pytest

from anytime.policy import Answer, Outcome
from anytime.service import schema
from anytime.service.engine.messages import RowAnswer, RowFailure, RowTrace
from anytime.service.errors import DeadlineBeforeFirstExit
from anytime.service.reply import done_json, dumps, event_json, reply_json, row_json
from tests.policy.conftest import make_manifest, said

FAILURE = RowFailure(1, DeadlineBeforeFirstExit("too late"))
LATE = {"code": "deadline_before_first_exit", "message": "too late"}


def answer(outcome=None, *, row=0, level=0, reason="confidence", trace=None):
    return RowAnswer(row, Answer(outcome or said(2), level), 2, 0.25, 1.23456, reason, trace)


def suspicious(outcome):
    """The same outcome of a head that writes ``ood``, too."""
    return Outcome(outcome.exit, {**outcome.outputs, "ood": np.zeros(1, np.float32)}, outcome.verdicts)


def test_a_row():
    """A row object has the design's fields, in its order, and nothing else."""
    assert list(row_json(make_manifest(), answer()).items()) == [
        ("label", "label 0"), ("index", 0), ("confidence", pytest.approx(0.5)), ("exit", 2), ("depth", 2), ("exits", 3),
        ("cost", 0.25), ("compute_ms", 1.235), ("stop_reason", "confidence"),
    ]  # fmt: skip


def test_a_prediction_has_no_stop_reason():
    """While the row goes on, nothing stopped it."""
    assert "stop_reason" not in row_json(make_manifest(), answer(reason=None))


def test_top():
    """``top`` lists labels from the most probable down, the first with the row's confidence, ties in order."""
    row = row_json(make_manifest(), answer(said(1, [0.2, 0.4, 0.4])), top=2)
    assert [(one["label"], one["index"]) for one in row["top"]] == [("label 1", 1), ("label 2", 2)]
    assert row["top"][0]["probability"] == row["confidence"]
    assert len(row_json(make_manifest(), answer(), top=99)["top"]) == 3


def test_levels():
    """Where the bundle has levels, the row says which one answered, and what each says."""
    manifest = make_manifest(labels=3, levels={"fine": 3, "coarse": 2})
    row = row_json(manifest, answer(said(1, [0.5, 0.3, 0.2], [0.1, 0.9]), level=1), top=5)
    assert (row["label"], row["index"], row["level"]) == ("label 1", 1, "coarse")
    assert row["confidence"] == pytest.approx(0.9)
    assert [one["index"] for one in row["top"]] == [1, 0]
    assert {name: one["index"] for name, one in row["levels"].items()} == {"fine": 0, "coarse": 1}
    assert row["levels"]["coarse"]["confidence"] == row["confidence"]


def test_sigmoids():
    """``commitment`` and ``ood`` are there where the head wrote them, as sigmoids."""
    outcome = suspicious(said(1, commitment=0.25))
    row = row_json(make_manifest(), answer(outcome))
    assert (row["commitment"], row["ood"]) == (pytest.approx(0.25), 0.5)
    assert not {"commitment", "ood"} & row_json(make_manifest(), answer()).keys()


def test_trace():
    """A trace lists raw outputs by exit and milliseconds by graph, whatever the arrays' dtype and layout."""
    heads = ((1, {"logits": np.arange(6, dtype=np.float32)[::2]}), (2, {"logits": np.array([1.5], np.float16)}))
    row = row_json(make_manifest(), answer(trace=RowTrace(heads, ((1, "body", 0.5), (1, "head", 0.25)))))
    assert json.loads(dumps(row))["trace"] == {
        "exits": [{"exit": 1, "outputs": {"logits": [0, 2, 4]}}, {"exit": 2, "outputs": {"logits": [1.5]}}],
        "graphs": [{"stage": 1, "part": "body", "ms": 0.5}, {"stage": 1, "part": "head", "ms": 0.25}],
    }


def test_a_reply():
    """A reply has its id, model, version and times, and rows in order, a failed one as ``{row, error}``."""
    manifest = make_manifest()
    reply = reply_json(manifest, "id", [answer(), FAILURE], 0, elapsed_ms=1.23456, queue_ms=0.0)
    assert reply == {
        "id": "id", "model": "double", "version": 1, "rows": [row_json(manifest, answer()), {"row": 1, "error": LATE}],
        "elapsed_ms": 1.235, "queue_ms": 0.0,
    }  # fmt: skip
    assert done_json(manifest, "id", elapsed_ms=1.23456, queue_ms=0.0) == {
        k: v for k, v in reply.items() if k != "rows"
    }


def test_events():
    """A stream's event is the row object with the stream's id and the row; of a failed row the error with both."""
    manifest = make_manifest()
    assert event_json(manifest, "id", answer(row=3), 0) == {"id": "id", "row": 3, **row_json(manifest, answer())}
    assert event_json(manifest, "id", FAILURE) == {"id": "id", "row": 1, "error": LATE}


def test_the_documented_shapes_are_the_real_ones():
    """Everything that is written is documented, and nothing else is."""
    manifest = make_manifest(labels=3, levels={"fine": 3, "coarse": 2})
    outcome = suspicious(said(1, [0.5, 0.3, 0.2], [0.1, 0.9], commitment=0.25))
    row = answer(outcome, trace=RowTrace(((1, {"logits": np.zeros(3)}),), ((1, "body", 0.5),)))
    events = {
        schema.Reply: reply_json(manifest, "id", [row, FAILURE], 3, elapsed_ms=1.0, queue_ms=0.5),
        schema.StreamRow: event_json(manifest, "id", row, 3),
        schema.StreamFailedRow: event_json(manifest, "id", FAILURE),
        schema.Done: done_json(manifest, "id", elapsed_ms=1.0, queue_ms=0.5),
    }
    for shape, written in events.items():
        read = shape.model_validate_json(dumps(written))
        assert read.model_dump(exclude_unset=True).keys() == written.keys()
    assert schema.Row.model_fields.keys() == row_json(manifest, row, 3).keys()
