"""Tests of the errors in the OpenAPI document."""

import pytest

from anytime.service import errors, schema
from anytime.service.openapi_errors import codes, responses


def test_every_code_is_documented():
    """Each code of the tree stands under its status, with an example of the one shape."""
    documented = {}
    for status, response in responses(*sorted(set(codes().values()))).items():
        for code, example in response["content"]["application/json"]["examples"].items():
            assert schema.ErrorReply.model_validate(example["value"]).error.code == code
            documented[code] = int(status)
    assert documented == codes()


def test_codes_are_those_of_the_tree():
    """The codes are what the error classes say, and the policy's own."""
    found = codes()
    assert found["queue_full"] == 429
    assert found["policy_out_of_range"] == 422
    assert found["internal"] == 500
    assert found["body_timeout"] == errors.BodyTimeout.status


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status):
    """Where a client should come again, the header that says when is described."""
    assert "Retry-After" in responses(status)[str(status)]["headers"]
