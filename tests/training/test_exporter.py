"""What the exporter is kept from saying, and for how long."""

from __future__ import annotations

import contextlib
import logging
import warnings

import pytest

from anytime.training.exporter import quiet


class Heard(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_it_is_quiet_inside_and_only_there():
    """Warnings and log lines are dropped inside; afterwards both are what they were, after a failure too."""
    log, heard = logging.getLogger("an.exporter"), Heard()
    log.addHandler(heard)
    with contextlib.suppress(KeyError), quiet():
        warnings.warn("of its own future", FutureWarning, stacklevel=1)
        log.error("torchvision is not installed")
        raise KeyError
    assert heard.messages == []
    log.error("heard")
    log.removeHandler(heard)
    assert heard.messages == ["heard"]
    with pytest.warns(FutureWarning, match="heard too"):
        warnings.warn("heard too", FutureWarning, stacklevel=1)
