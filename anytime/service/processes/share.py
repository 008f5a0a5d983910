"""What one of several processes gets of bounds that are said of the whole service."""

from __future__ import annotations

from pydantic import ByteSize

from anytime.service.settings import Settings

_LEAST_BYTES = 1024


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
