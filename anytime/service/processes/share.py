"""The settings of one of several processes: its part of bounds that are said of the whole service; and how they reach it."""

from __future__ import annotations

import json

from pydantic import ByteSize

from anytime.service.settings import Settings

_LEAST_BYTES = 1024
_PATHS = ("store", "api_keys_file")


def share_of(settings: Settings) -> Settings:
    """The settings of each process: its part of the queue, of the state and of the bundles' memory; all else as it is.

    ``workers`` is of each process already.
    """
    parts = settings.processes
    return settings.model_copy(
        update={
            "processes": 1,
            "queue_rows": -(-settings.queue_rows // parts),
            "state_bytes": ByteSize(max(_LEAST_BYTES, settings.state_bytes // parts)),
            "model_bytes": ByteSize(max(_LEAST_BYTES, settings.model_bytes // parts)),
        }
    )


def as_text(settings: Settings) -> str:
    """ASCII, also where a path is not; ``settings_from`` reads it."""
    paths = {name: None if value is None else str(value) for name in _PATHS for value in [getattr(settings, name)]}
    return json.dumps({**settings.model_dump(mode="json", exclude=set(_PATHS)), **paths})


def settings_from(text: str) -> Settings:
    """What ``as_text`` wrote."""
    return Settings.model_validate(json.loads(text))
