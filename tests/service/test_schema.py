"""Tests of the documented shapes; ``test_reply`` holds them to what is written."""

import pytest
from pydantic import ValidationError

from anytime.service import errors, schema


def test_errors_have_the_documented_shape():
    """What the mapper makes of an error is an ``ErrorReply``."""
    body = errors.error_body(errors.QueueFull("full", retry_after_s=2.0), "r1")
    assert schema.ErrorReply.model_validate(body).error.retry_after_s == 2.0


def test_shapes_are_closed():
    """A field without documentation is refused."""
    done = {"id": "i", "model": "m", "version": 1, "elapsed_ms": 1.0, "queue_ms": 0.0}
    assert schema.Done.model_validate(done)
    with pytest.raises(ValidationError):
        schema.Done.model_validate(done | {"rows": []})
