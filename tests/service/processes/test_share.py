"""What each of several processes gets."""

from __future__ import annotations

import os

import pytest

from anytime.service.processes.share import as_text, settings_from, share_of
from anytime.service.settings import Settings


@pytest.mark.parametrize(
    ("processes", "rows", "state", "model"),
    [(1, 1000, 4_000_000, 8_000_000), (2, 500, 2_000_000, 4_000_000), (3, 334, 1_333_333, 2_666_666)],
)
def test_bounds_are_shared_out(processes: int, rows: int, state: int, model: int) -> None:
    """Together the processes hold to what was said of the service; a row that does not divide goes to everybody."""
    whole = Settings(processes=processes, workers=3, queue_rows=1000, state_bytes=4_000_000, model_bytes=8_000_000)
    share = share_of(whole)
    assert (share.queue_rows, share.state_bytes, share.model_bytes) == (rows, state, model)


def test_all_else_stays() -> None:
    """Workers, limits of one request and the rest are each process's own."""
    whole = Settings(processes=4, workers=3, batch_rows=7, api_keys=("ab" * 32,))
    shared_out = {"processes", "queue_rows", "state_bytes", "model_bytes"}
    assert share_of(whole).model_dump(exclude=shared_out) == whole.model_dump(exclude=shared_out)


def test_a_share_is_a_setting() -> None:
    """The least bounds, shared by the most processes, are still bounds that a service may have."""
    share = share_of(Settings(processes=256, queue_rows=1, state_bytes=1024, model_bytes=1024))
    assert (share.queue_rows, share.state_bytes, share.model_bytes) == (1, 1024, 1024)
    assert Settings.model_validate(share.model_dump()) == share


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"store": os.fsdecode(b"st\xff\xc3\xa9"), "host": "0.0.0.0", "api_keys": ["ab" * 32, "cd" * 32]},
        {"default_policy": {"confidence": 0.9, "priority": 2}, "cors_origins": ["*"], "body_bytes": "64 MiB"},
        {"allow_anonymous": True, "api_keys_file": "keys.txt", "warmup_s": 0.125, "log_format": "text"},
    ],
)
def test_settings_reach_a_process_as_they_are(given: dict[str, object]) -> None:
    """Whatever was given, a path that is no text included."""
    settings = Settings.model_validate(given)
    assert settings_from(as_text(settings)) == settings
    assert as_text(settings).isascii()
