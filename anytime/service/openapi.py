"""The service described as OpenAPI 3.1: built from the policy's fields, the error tree and the documented shapes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic.json_schema import models_json_schema

from anytime.policy import Policy
from anytime.service import schema, sse
from anytime.service.intake.media import IMAGES, JSON, MULTIPART, RAW
from anytime.service.openapi_errors import responses

Json = dict[str, Any]

_SHAPES = (
    schema.PredictBody, schema.Reply, schema.StreamRow, schema.StreamFailedRow, schema.Done, schema.ErrorReply,
    schema.ModelInfo, schema.ModelList, schema.Live, schema.Ready,
)  # fmt: skip
_ROW = {"label": "seven", "index": 7, "confidence": 0.9731, "exit": 2, "depth": 2, "exits": 4, "cost": 0.38,
        "compute_ms": 0.41}  # fmt: skip
_ENDS = {"elapsed_ms": 0.72, "queue_ms": 0.02}
_ID = "pYb0hGZ0mC1wqf5X"
_HEADERS = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}


def document(models: Iterable[str] = ()) -> Json:
    """The document of a service; ``models``: the names of what it serves, offered to whoever tries it."""
    schemas = models_json_schema(
        [(shape, "validation") for shape in _SHAPES], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Anytime",
            "version": _version(),
            "description": "Networks that answer early and keep refining; each request says when to stop.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(list(models)),
        "components": {
            "schemas": schemas[1]["$defs"],
            "headers": {
                "RequestId": {
                    "description": "The client's own X-Request-ID, or a new one.",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _paths(models: list[str]) -> Json:
    model, chosen = _path_parameter("model", models), _path_parameter("version", ["latest", "stable"])
    listed = {"200": _json("The models.", "ModelList"), **responses(401)}
    shown = {"200": _json("One version of a model.", "ModelInfo"), **responses(401, 404, 503)}
    at = "/v1/models/{model}"
    versioned = f"{at}/versions/{{version}}"
    return {
        f"{at}/predict": _post([model], "predict", "Predict with the stable version, else the latest."),
        f"{versioned}/predict": _post(
            [model, chosen], "predictVersion", "Predict with one version, or an alias of one."
        ),
        "/v1/models": _get([], "listModels", "What is served.", "models", listed),
        at: _get([model], "showModel", "A model: inputs, exits, costs, operating points.", "models", shown),
        versioned: _get([model, chosen], "showVersion", "The same of one version, or an alias.", "models", shown),
        **_operations(),
    }


def _operations() -> Json:
    """What machines ask. Probes need no key; Prometheus does, where keys are configured."""
    ready = {"200": _json("At least one model serves.", "Ready"), "503": _json("None does, or not yet.", "Ready")}
    text = {"200": {"description": "The text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    text |= responses(401)
    return {
        "/healthz": _probe("live", "Whether the process lives.", {"200": _json("It does.", "Live")}),
        "/readyz": _probe("ready", "Whether a model serves, and which bundles were refused.", ready),
        "/metrics": _get([], "metrics", "Metrics for Prometheus.", "operations", text),
    }


def _get(parameters: list[Json], operation: str, summary: str, tag: str, answers: Json) -> Json:
    described = {"operationId": operation, "summary": summary, "tags": [tag], "responses": answers}
    return {"parameters": parameters, "get": described}


def _probe(operation: str, summary: str, answers: Json) -> Json:
    described: Json = _get([], operation, summary, "operations", answers)
    described["get"]["security"] = [{}]
    return described


def _post(parameters: list[Json], operation: str, summary: str) -> Json:
    return {"parameters": parameters, "post": {"operationId": operation, "summary": summary, **_predict()}}


def _predict() -> Json:
    reply = {
        "description": "The answer; with `stream` or `Accept: text/event-stream`, the refinements as they are computed.",
        "headers": _HEADERS,
        "content": {
            "application/json": {"schema": _ref("Reply"), "example": _reply_example()},
            "text/event-stream": {"schema": {"type": "string"}, "example": _stream_example()},
        },
    }
    return {
        "tags": ["predict"],
        "parameters": list(_query_parameters()),
        "requestBody": {"required": True, "content": _contents()},
        "responses": {"200": reply, **responses(400, 401, 404, 408, 413, 415, 422, 429, 431, 500, 503, 504)},
    }


def _query_parameters() -> Iterator[Json]:
    properties = Policy.model_json_schema()["properties"]
    for name, field in properties.items():
        described = {key: value for key, value in field.items() if key not in ("title", "description", "default")}
        yield {"name": name, "in": "query", "description": field["description"], "schema": described,
               "style": "form", "explode": False}  # fmt: skip
    yield _query("top", "List this many labels, most probable first.", {"type": "integer", "minimum": 0})
    yield _query("trace", "Return every exit's raw outputs and every graph's milliseconds.", {"type": "boolean"})
    yield _query("stream", "Answer with a stream of events, or not, whatever `Accept` says.", {"type": "boolean"})
    whole = {"type": "array", "items": {"type": "integer", "minimum": 1}}
    about = "The whole shape of a raw tensor, rows first; needed where an axis but the row is symbolic."
    yield {**_query("shape", about, whole), "style": "form", "explode": False, "example": [2, 17]}


def _contents() -> Json:
    named = {"input": [[0.1, 0.2, 0.3, 0.4]]}
    encoded = {"dtype": "float32", "shape": [1, 4], "data": base64.b64encode(bytes(16)).decode()}
    binary: Json = {"schema": {"type": "string", "contentMediaType": RAW}}
    return {
        JSON: {
            "schema": _ref("PredictBody"),
            "examples": {
                "nested": _shown("Nested lists", {"inputs": named}),
                "policy": _shown("With a policy", {"inputs": named, "policy": {"confidence": 0.9}, "top": 3}),
                "base64": _shown("A tensor in base64, of a model with one input", {"inputs": encoded}),
            },
        },
        RAW: binary,
        **{image: {"schema": {"type": "string", "contentMediaType": image}} for image in IMAGES},
        MULTIPART: {
            "schema": {
                "type": "object",
                "description": "A part per input (JSON, raw or a picture, by its own content type), and options.",
                "properties": {
                    "policy": _ref("Policy"), "top": {"type": "integer"}, "trace": {"type": "boolean"},
                    "stream": {"type": "boolean"},
                },
                "additionalProperties": {"type": "string", "contentMediaType": RAW},
            },
            "encoding": {"policy": {"contentType": JSON}},
        },
    }  # fmt: skip


def _reply_example() -> Json:
    row = {**_ROW, "stop_reason": "confidence"}
    return {"id": _ID, "model": "digits", "version": 1, "rows": [row], **_ENDS}


def _stream_example() -> str:
    first = {"id": _ID, "row": 0, **_ROW, "confidence": 0.61, "exit": 1, "depth": 1, "cost": 0.12, "compute_ms": 0.14}
    second = {"id": _ID, "row": 0, **_ROW}
    final = {**second, "stop_reason": "confidence"}
    done = {"id": _ID, "model": "digits", "version": 1, **_ENDS}
    events = (("prediction", first), ("prediction", second), ("final", final), ("done", done))
    return b"".join(sse.event(name, data, number) for number, (name, data) in enumerate(events, start=1)).decode()


def _json(description: str, shape: str) -> Json:
    return {"description": description, "headers": _HEADERS, "content": {"application/json": {"schema": _ref(shape)}}}


def _ref(shape: str) -> Json:
    return {"$ref": f"#/components/schemas/{shape}"}


def _shown(summary: str, value: Any) -> Json:
    return {"summary": summary, "value": value}


def _query(name: str, description: str, described: Json) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": described}


def _path_parameter(name: str, offered: list[str]) -> Json:
    parameter: Json = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if offered:
        parameter["examples"] = {one: {"value": one} for one in offered}
    return parameter


def _version() -> str:
    try:
        return version("anytime-serving")
    except PackageNotFoundError:
        return "0"
