"""Versions that come, go back and break while clients ask, and models that memory has no room for, over real sockets."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import httpx

from anytime.model_store import Store
from anytime.service.shelf import OVERHEAD_BYTES
from tests.service import spinner
from tests.service.conftest import break_bundle
from tests.service.live import PATIENCE_S, Live, assert_refused, expect, live

BODY = {"inputs": [spinner.row()]}
ROOM_FOR_ONE = int(1.5 * OVERHEAD_BYTES)


class Hammer:
    """A client that asks without pause, and keeps the status and version of each reply."""

    def __init__(self, service: Live) -> None:
        self._url = f"{service.url}/v1/models/spinner/predict"
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.replies: list[tuple[int, int | None]] = []

    def __enter__(self) -> Hammer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join(PATIENCE_S)

    def gets(self, version: int) -> bool:
        return bool(self.replies) and self.replies[-1][1] == version

    def _ask(self) -> None:
        with httpx.Client(timeout=PATIENCE_S) as client:
            while not self._is_done.is_set():
                reply = client.post(self._url, json=BODY)
                self.replies.append((reply.status_code, reply.json().get("version")))


def publish(store: Store, folder: Path, name: str = spinner.NAME) -> Path:
    number = len(list(folder.glob("source*")))
    return store.publish(spinner.build(folder / f"source{number}", name=name).folder).folder


def test_switches_without_a_failed_request(tmp_path: Path) -> None:
    """Version 2 takes over, ``stable`` brings version 1 back, a broken version 3 changes nothing but ``/readyz``."""
    store = Store(tmp_path / "store")
    publish(store, tmp_path)
    with live(store.root, workers=2) as service:
        with Hammer(service) as one, Hammer(service) as other:
            both = (one, other)
            expect(lambda: all(hammer.gets(1) for hammer in both))
            publish(store, tmp_path)
            expect(lambda: all(hammer.gets(2) for hammer in both))
            store.set_alias(spinner.NAME, "stable", 1)
            expect(lambda: all(hammer.gets(1) for hammer in both))
            break_bundle(publish(store, tmp_path))
            expect(lambda: service.get("/readyz").json()["refused"])
            count = len(one.replies)
            expect(lambda: len(one.replies) > count + 10)
        for hammer in both:
            assert {status for status, _ in hammer.replies} == {200}
            versions = [version for _, version in hammer.replies]
            switches = [b for a, b in pairwise(versions) if a != b]
            assert switches == [2, 1]
        readiness = service.get("/readyz")
        assert readiness.status_code == 200
        assert [(refused["version"], refused["code"]) for refused in readiness.json()["refused"]] == [(3, "wrong_hash")]
        entry = service.get("/v1/models").json()["models"][0]
        assert (entry["version"], entry["versions"], entry["refused"]) == (1, [1, 2, 3], {"3": "wrong_hash"})
        assert entry["aliases"] == {"latest": 2, "stable": 1}


def test_rows_under_way_keep_their_version(tmp_path: Path) -> None:
    """A stream that began on version 1 ends on it, though version 2 has taken over."""
    store = Store(tmp_path / "store")
    publish(store, tmp_path)
    with live(store.root, workers=2) as service:
        body = {"inputs": [spinner.row(0, spinner.LONG)], "stream": True}
        with httpx.stream("POST", f"{service.url}/v1/models/spinner/predict", json=body, timeout=PATIENCE_S) as reply:
            lines = reply.iter_lines()
            assert next(lines) == "id: 1"
            publish(store, tmp_path)
            expect(lambda: service.post("spinner", BODY).json()["version"] == 2)
            assert '"version":1' in "\n".join(lines)


def test_memory_for_one(tmp_path: Path) -> None:
    """Of two models one is in memory; the other is loaded when it is asked for, and no request fails for it."""
    store = Store(tmp_path / "store")
    for name in ("first", "second"):
        publish(store, tmp_path, name)
    with live(store.root, model_bytes=ROOM_FOR_ONE) as service:
        for name in ("first", "second", "second", "first", "second"):
            assert service.post(name, BODY).json()["model"] == name
            entries = service.get("/v1/models").json()["models"]
            assert {entry["name"]: entry["loaded"] for entry in entries} == {
                "first": [1] if name == "first" else [],
                "second": [1] if name == "second" else [],
            }
            assert service.metric("anytime_model_bytes") <= ROOM_FOR_ONE
        assert service.get("/readyz").status_code == 200


def test_a_load_that_the_deadline_does_not_allow(tmp_path: Path) -> None:
    """503 ``loading``, with when to come again; the load goes on, and a request that can wait is answered."""
    store = Store(tmp_path / "store")
    for name in ("first", "second"):
        publish(store, tmp_path, name)
    with live(store.root, model_bytes=ROOM_FOR_ONE) as service:
        assert service.post("first", BODY).status_code == 200
        hurried = [
            {"body": {**BODY, "policy": {"deadline_ms": 0.01}}},
            {"body": BODY, "params": {"deadline_ms": "0.01"}},
            {"body": {**BODY, "policy": {"deadline_ms": 0.01, "exact": True}, "stream": True}},
        ]
        for ask in hurried:
            assert service.post("first", BODY).status_code == 200
            assert_refused(service.post("second", **ask), 503, "loading")
        expect(lambda: service.get("/v1/models").json()["models"][1]["loaded"])
        patient = {**BODY, "policy": {"deadline_ms": 60_000.0}}
        assert service.post("second", patient).status_code == 200
        assert service.post("first", patient).status_code == 200


def test_a_busy_model_is_not_unloaded(tmp_path: Path) -> None:
    """While its rows run, a model keeps its memory, and the other's request is told to come again."""
    store = Store(tmp_path / "store")
    for name in ("first", "second"):
        publish(store, tmp_path, name)
    with live(store.root, model_bytes=ROOM_FOR_ONE) as service:
        assert service.post("first", BODY).status_code == 200
        body = {"inputs": [spinner.row(0, spinner.LONG)], "stream": True}
        with httpx.stream("POST", f"{service.url}/v1/models/first/predict", json=body, timeout=PATIENCE_S) as reply:
            lines = reply.iter_lines()
            assert next(lines) == "id: 1"
            assert_refused(service.post("second", BODY), 503, "loading")
            assert "event: done" in list(lines)
        assert service.post("second", BODY).status_code == 200
