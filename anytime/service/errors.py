"""Everything the service can answer that is not an answer: one tree, one JSON shape, a stable ``code`` and a status each.

ServiceError
+-- RequestRefused                       4xx: the caller can mend it
|   +-- ModelNotFound        model_not_found        404
|   +-- VersionNotFound      version_not_found      404
|   +-- RouteNotFound        not_found              404
|   +-- MethodNotAllowed     method_not_allowed     405
|   +-- Unauthorized         unauthorized           401
|   +-- MalformedRequest     malformed_request      400   no HTTP, or a query that cannot be read
|   +-- MalformedBody        malformed_body         400   not JSON, not multipart, a broken length
|   +-- BodyTimeout          body_timeout           408   the head or the body came too slowly
|   +-- BodyTooLarge         body_too_large         413
|   +-- HeadTooLarge         head_too_large         431
|   +-- UnsupportedMedia     unsupported_media_type 415
|   +-- InvalidField         invalid_field          422   an unknown or bad field of the body or query
|   +-- InvalidTensor        invalid_tensor         422   dtype, shape, rank, missing input, NaN or infinity
|   +-- InvalidImage         invalid_image          422   truncated, corrupt, or beyond the pixel bound
|   +-- InvalidPolicy        (the policy error's own code, policy_...)  422
|   +-- BatchTooLarge        batch_too_large        422
+-- Overloaded                           429, with Retry-After
|   +-- QueueFull            queue_full
|   +-- StateFull            state_full
|   +-- DeadlineUnreachable  deadline_unreachable   load, not the network, would miss the deadline
+-- Unavailable                          503
|   +-- Loading              loading                the model is being loaded, and the deadline does not allow the wait
|   +-- BundleRefused        bundle_refused         its checks failed; /readyz says why
|   +-- ShuttingDown         shutting_down
+-- DeadlineBeforeFirstExit  deadline_before_first_exit   504
+-- DeadlineBeforeFullDepth  deadline_before_full_depth   504, for ``exact``
+-- ModelFailed              model_failed           500: the graph failed, or wrote NaN
+-- Internal                 internal               500: our own fault; details are in the log only
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """``details`` are further JSON fields of the error object (``field``, ``nearest``, ...)."""

    code = "internal"
    status = 500
    usual_retry_s: float | None = None
    """When to come again, unless whoever raises it knows better; None: it would not help."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        super().__init__(message)
        self.retry_after_s = self.usual_retry_s if retry_after_s is None else retry_after_s
        self.details: Mapping[str, Any] = details


class RequestRefused(ServiceError):
    status = 422


class ModelNotFound(RequestRefused):
    code, status = "model_not_found", 404


class VersionNotFound(RequestRefused):
    code, status = "version_not_found", 404


class RouteNotFound(RequestRefused):
    code, status = "not_found", 404


class MethodNotAllowed(RequestRefused):
    code, status = "method_not_allowed", 405


class Unauthorized(RequestRefused):
    code, status = "unauthorized", 401


class MalformedRequest(RequestRefused):
    code, status = "malformed_request", 400


class MalformedBody(RequestRefused):
    code, status = "malformed_body", 400


class BodyTimeout(RequestRefused):
    code, status = "body_timeout", 408


class BodyTooLarge(RequestRefused):
    code, status = "body_too_large", 413


class HeadTooLarge(RequestRefused):
    code, status = "head_too_large", 431


class UnsupportedMedia(RequestRefused):
    code, status = "unsupported_media_type", 415


class InvalidField(RequestRefused):
    code = "invalid_field"


class InvalidTensor(RequestRefused):
    code = "invalid_tensor"


class InvalidImage(RequestRefused):
    code = "invalid_image"


class InvalidPolicy(RequestRefused):
    """Carries the code of the ``PolicyError`` that it was made from."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.code = code


class BatchTooLarge(RequestRefused):
    code = "batch_too_large"


class Overloaded(ServiceError):
    status = 429


class QueueFull(Overloaded):
    code = "queue_full"


class StateFull(Overloaded):
    code = "state_full"


class DeadlineUnreachable(Overloaded):
    code = "deadline_unreachable"


class Unavailable(ServiceError):
    status = 503


class Loading(Unavailable):
    code, usual_retry_s = "loading", 1.0


class BundleRefused(Unavailable):
    code = "bundle_refused"


class ShuttingDown(Unavailable):
    code, usual_retry_s = "shutting_down", 1.0


class DeadlineBeforeFirstExit(ServiceError):
    code, status = "deadline_before_first_exit", 504


class DeadlineBeforeFullDepth(ServiceError):
    code, status = "deadline_before_full_depth", 504


class ModelFailed(ServiceError):
    code = "model_failed"


class Internal(ServiceError):
    code = "internal"


def error_body(error: ServiceError, request_id: str | None = None) -> dict[str, Any]:
    """The one JSON shape: ``{"error": {"code", "message", ...details}}``."""
    body: dict[str, Any] = {"code": error.code, "message": str(error), **error.details}
    if error.retry_after_s is not None:
        body["retry_after_s"] = error.retry_after_s
    if request_id is not None:
        body["request_id"] = request_id
    return {"error": body}
