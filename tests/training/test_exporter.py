"""What the exporter is kept from saying, and for how long."""

from __future__ import annotations

import contextlib
import logging
import warnings

import pytest

from anytime.training.exporter import quiet


def test_it_is_quiet_inside_and_only_there(caplog):
    """Warnings and log lines are dropped inside; afterwards both are what they were, after a failure too."""
    log = logging.getLogger("an.exporter")  # those of torch keep their lines from the root, once it is imported
    with contextlib.suppress(KeyError), quiet():
        warnings.warn("of its own future", FutureWarning, stacklevel=1)
        log.error("torchvision is not installed")
        raise KeyError
    assert caplog.records == []
    log.error("heard")
    assert [record.message for record in caplog.records] == ["heard"]
    with pytest.warns(FutureWarning, match="heard too"):
        warnings.warn("heard too", FutureWarning, stacklevel=1)
