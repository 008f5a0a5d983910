"""Tests of the OpenAPI document."""

import json

import httpx
import httpx_sse
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from anytime.policy import Policy
from anytime.service import schema
from anytime.service.openapi import document
from anytime.service.sse import HEADERS

DOCUMENT = document(["digits", "tiny"])
POST = DOCUMENT["paths"]["/v1/models/{model}/predict"]["post"]


def test_valid():
    """The document is valid OpenAPI 3.1, with models and without."""
    for one in (DOCUMENT, document()):
        assert list(OpenAPIV31SpecValidator(json.loads(json.dumps(one, allow_nan=False))).iter_errors()) == []


def test_served_models_are_offered():
    """The names of the served models are the path's examples."""
    (model,) = DOCUMENT["paths"]["/v1/models/{model}/predict"]["parameters"]
    assert list(model["examples"]) == ["digits", "tiny"]


def test_every_policy_field_is_a_query_parameter():
    """The query takes the policy's fields and the options, each described."""
    parameters = {one["name"]: one for one in POST["parameters"]}
    assert parameters.keys() == {*Policy.model_fields, "top", "trace", "stream", "shape"}
    assert all(one["description"] for one in parameters.values())


def test_every_content_type_is_there():
    """JSON, raw bytes, pictures and multipart may be sent."""
    assert POST["requestBody"]["content"].keys() == {
        "application/json", "application/octet-stream", "image/png", "image/jpeg", "image/webp", "multipart/form-data",
    }  # fmt: skip


@pytest.mark.parametrize("example", POST["requestBody"]["content"]["application/json"]["examples"].values())
def test_request_examples(example):
    """Each example of a body is one."""
    assert schema.PredictBody.model_validate_json(json.dumps(example["value"]))


def test_reply_examples():
    """The example of a reply is one, and so is each event of the stream's."""
    content = POST["responses"]["200"]["content"]
    assert schema.Reply.model_validate(content["application/json"]["example"])
    stream = httpx.Response(200, headers=HEADERS, text=content["text/event-stream"]["example"])
    events = list(httpx_sse.EventSource(stream).iter_sse())
    assert [event.event for event in events] == ["prediction", "prediction", "final", "done"]
    for event in events:
        shape = schema.Done if event.event == "done" else schema.StreamRow
        assert shape.model_validate_json(event.data)


def test_operations_want_no_key():
    """Probes call without a key; all else may want one."""
    open_paths = {path for path, item in DOCUMENT["paths"].items() if item.get("get", {}).get("security") == [{}]}
    assert open_paths == {"/healthz", "/readyz"}
    assert DOCUMENT["security"] == [{}, {"bearer": []}, {"key": []}]
