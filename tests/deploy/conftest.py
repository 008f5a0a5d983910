"""A store with a bundle, served by a process of its own."""

from __future__ import annotations

import pytest

from anytime.model_store import Store
from tests.deploy import dawdler
from tests.served import serve


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    Store(folder / "models").publish(dawdler.build(folder / "bundle").folder)
    with serve(folder / "models", folder / "log") as served:
        yield served
