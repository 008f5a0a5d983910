"""Which application a request goes to."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from anytime.service.app import Service, _Ways
from anytime.service.settings import Settings

HERE = "/v1/models/m/predict"


@pytest.mark.parametrize(
    ("method", "path", "root", "params"),
    [
        ("POST", HERE, "", {"model": "m", "version": None}),
        ("POST", "/v1/models/m/versions/7/predict", "", {"model": "m", "version": "7"}),
        ("POST", "/v1/models/a b/predict", "", {"model": "a b", "version": None}),
        ("GET", HERE, "", None),
        ("POST", f"{HERE}/", "", None),
        ("POST", "/v1/models/a/b/predict", "", None),
        ("POST", "/v1/models//predict", "", None),
        ("POST", f"{HERE}\n", "", None),
        ("POST", f"/behind{HERE}", "/behind", None),
        ("POST", HERE, "/behind", None),
    ],
)
def test_predictions_go_straight(method, path, root, params):
    """A prediction's path is told by itself, with what it names; everything else is the router's to tell."""
    went: list[tuple[str, Any]] = []

    def application(name):
        async def note(scope: Any, receive: Any, send: Any) -> None:
            went.append((name, scope.get("path_params")))

        return note

    scope = {"type": "http", "method": method, "path": path, "root_path": root}
    asyncio.run(_Ways(application("predict"), application("router"))(scope, None, None))  # type: ignore[arg-type]
    assert went == [("router", None) if params is None else ("predict", params)]


def test_a_lifespan_is_the_routers():
    """What is no request has no path to look at."""
    went: list[str] = []

    async def router(scope: Any, receive: Any, send: Any) -> None:
        went.append(scope["type"])

    asyncio.run(_Ways(router, router)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert went == ["lifespan"]


def workers() -> list[threading.Thread]:
    """Those that live, of whatever service in this process."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("anytime-worker")]


def test_a_start_that_fails_leaves_nothing(tmp_path, monkeypatch):
    """Where the system has no thread for the second worker, the first ends with the start."""
    start, before = threading.Thread.start, set(workers())

    def scarce(thread):
        if thread.name == "anytime-worker-1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)

    async def main():
        with pytest.raises(RuntimeError, match="can't start new thread"):
            async with Service(Settings(store=tmp_path, workers=2)).running():
                pass

    asyncio.run(main())
    assert set(workers()) <= before
