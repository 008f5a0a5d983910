"""The errors that the service can answer, as OpenAPI responses: every code of the tree, with an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from anytime.policy import PolicyError
from anytime.service import errors

Json = dict[str, Any]

_WORDS = {
    400: "The request or its body cannot be read.",
    401: "An API key is wanted.",
    404: "No such model, version or address.",
    405: "The address has other methods.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The content type is not read for this model.",
    422: "A field, a tensor, a picture or the policy is wrong; the message names it.",
    429: "Too much is asked of the service now; `Retry-After` says when to come again.",
    431: "The head of the request is too large.",
    500: "The model or the service failed.",
    503: "The model cannot be served now.",
    504: "The deadline passed before there was an answer.",
}
_EXAMPLES: Mapping[str, tuple[str, Json]] = {
    "model_not_found": ("there is no model 'digit'; did you mean 'digits'?", {"nearest": "digits"}),
    "version_not_found": ("digits has no version 7; it has: 1, 2", {}),
    "not_found": ("there is nothing at /v1/model; see /docs", {}),
    "method_not_allowed": ("/v1/models takes GET", {}),
    "unauthorized": ("an API key is wanted, in Authorization: Bearer KEY or X-API-Key: KEY", {}),
    "malformed_request": ("the query cannot be read: it is no UTF-8", {}),
    "malformed_body": ("the body is not JSON: unexpected end of data", {}),
    "body_timeout": ("the body was not complete after 10 s (512 bytes had come); send it faster, or less of it", {}),
    "head_too_large": ("the request's head has more than 65536 bytes; send fewer or shorter headers", {}),
    "body_too_large": ("the body has 50000000 bytes; at most 33554432 are read", {"max_bytes": 33554432}),
    "unsupported_media_type": (
        "the content type 'text/csv' is not read for digits; send one of: application/json",
        {"supported": ["application/json"]},
    ),
    "invalid_field": ("the field 'inputz' is no field of the body; did you mean 'inputs'?", {"field": "inputz"}),
    "invalid_tensor": ("the input 'pixels' has the shape (1, 63); wanted (batch, 64)", {"input": "pixels"}),
    "invalid_image": (
        "the image cannot be read: it is truncated; send a whole PNG, JPEG or WebP",
        {"input": "pixels", "reason": "image_unreadable"},
    ),
    "batch_too_large": (
        "the request has 100 rows; at most 64 are taken at once: split it", {"rows": 100, "max_rows": 64}
    ),
    "policy_unknown_field": ("unknown policy field 'confidense'; did you mean 'confidence'?", {"field": "confidense"}),
    "policy_out_of_range": (
        "policy field 'confidence' is 1.5; it should be less than or equal to 1", {"field": "confidence"}
    ),
    "policy_conflict": ("min_exit 3 is beyond max_exit 2", {"field": "min_exit"}),
    "policy_unsupported": ("digits has no operating point 'cost-10'; it has: cost-50", {"field": "target"}),
    "policy_budget_too_small": (
        "the budget of 10 multiply-adds is below the cheapest permitted exit's 640", {"field": "max_macs"}
    ),
    "queue_full": ("1024 rows wait already; come again later", {"retry_after_s": 1.0}),
    "state_full": ("the rows in flight hold all the memory for state; come again later", {"retry_after_s": 1.0}),
    "deadline_unreachable": ("the load would miss the deadline; come again later", {"retry_after_s": 1.0}),
    "loading": ("digits is being loaded, and the deadline does not allow the wait", {"retry_after_s": 1.0}),
    "bundle_refused": ("digits failed its checks; /readyz says why", {}),
    "shutting_down": ("the service is shutting down; send the request again", {}),
    "deadline_before_first_exit": ("the deadline passed before exit 1 could answer", {}),
    "deadline_before_full_depth": ("the deadline passed before full depth, which 'exact' asks for", {}),
    "model_failed": ("a head wrote NaN; the network cannot be trusted on this input", {}),
    "internal": ("the service failed; its log knows the request id", {}),
}  # fmt: skip


def responses(*statuses: int) -> Json:
    """The responses of these statuses: each code that has it, with an example."""
    return {str(status): _response(status) for status in statuses}


def codes() -> dict[str, int]:
    """Every code that the service can answer, with its status."""
    found = {kind.code: kind.status for kind in _leaves(errors.ServiceError) if kind is not errors.InvalidPolicy}
    return found | {kind.code: errors.InvalidPolicy.status for kind in _leaves(PolicyError)}


def _response(status: int) -> Json:
    examples = {}
    for code, its in codes().items():
        if its == status:
            message, details = _EXAMPLES[code]
            examples[code] = {"value": {"error": {"code": code, "message": message, **details, "request_id": "c0ffee"}}}
    schema = {"$ref": "#/components/schemas/ErrorReply"}
    response: Json = {
        "description": _WORDS[status],
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }
    if status in (429, 503):
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return response


def _leaves(kind: type[Any]) -> Iterator[type[Any]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for one in below:
        yield from _leaves(one)
