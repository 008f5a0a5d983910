"""Probes and metrics, as Kubernetes, KServe's client and Prometheus ask them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from anytime.service import schema
from tests.service import spinner
from tests.service.live import Live

NAMES = {
    "anytime_rows_admitted", "anytime_rows", "anytime_exit_depth", "anytime_stops", "anytime_request_seconds",
    "anytime_first_prediction_seconds", "anytime_queue_seconds", "anytime_graph_seconds", "anytime_batch_rows",
    "anytime_cost_ratio", "anytime_saved_macs", "anytime_deadline_misses", "anytime_lateness_seconds", "anytime_shed",
    "anytime_inflight", "anytime_state_bytes",
}  # fmt: skip


def test_liveness(web: Live) -> None:
    """200 and a JSON body: some clients read ``live`` of it, some only the status."""
    reply = web.get("/healthz")
    assert (reply.status_code, reply.json()) == (200, {"live": True})
    assert schema.Live.model_validate(reply.json())
    assert reply.headers["content-type"] == "application/json"


def test_readiness(web: Live) -> None:
    """200, ``ready`` and ``live`` for clients of KServe, and what is served and what is not."""
    reply = web.get("/readyz")
    assert reply.status_code == 200
    body = reply.json()
    assert schema.Ready.model_validate(body)
    assert (body["ready"], body["live"], body["stopping"]) == (True, True, False)
    assert [refused["model"] for refused in body["refused"]] == ["broken"]


def test_metrics(web: Live) -> None:
    """Every name of the design is there, in the text format, with the request that was just made."""
    assert web.post("spinner", {"inputs": [spinner.row()], "policy": {"deadline_ms": 60_000.0}}).status_code == 200
    assert web.post("spinner", {"inputs": [spinner.row()] * 65}).status_code == 422
    reply = web.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    assert families.keys() >= NAMES
    assert {sample.labels["model"] for sample in families["anytime_rows"].samples} <= {
        "spinner",
        "quantised",
        "sequence",
        "ztw",
    }
    depths = [sample for sample in families["anytime_exit_depth"].samples if sample.labels.get("le") == "4.0"]
    assert depths[0].labels["version"] == "1"
