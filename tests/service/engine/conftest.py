"""Bundles that are built once, and threads that take turns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from anytime.model_store import Bundle, Store
from tests.bundles import spelled


@pytest.fixture(scope="session")
def spelled_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Three exits that say what the input spells."""
    return spelled.build(tmp_path_factory.mktemp("spelled") / "bundle")


@pytest.fixture(scope="session")
def stress(stress_store: Path) -> Callable[[ModuleType], Bundle]:
    """A stress bundle by its module."""
    return lambda module: Store(stress_store).open(module.NAME)


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
