"""The runtime's telemetry."""

import os

from anytime.model_store.telemetry import silence_runtime


def test_the_runtime_is_told_to_be_silent(monkeypatch):
    """Where nobody said anything, telemetry is off."""
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    silence_runtime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_who_wants_telemetry_is_obeyed(monkeypatch):
    """A value that is set already stays."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    silence_runtime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
