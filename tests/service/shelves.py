"""A store of tiny bundles, a shelf over it whose loads a test can hold, and a catalogue that looks when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from anytime.model_store import Bundle, Store
from anytime.policy import Policy
from anytime.service.catalogue import Catalogue
from anytime.service.engine.served import Served
from anytime.service.shelf import Shelf, memory_bytes
from tests.bundles import spelled

NEVER_S = 1e9
"""Between two looks at the store of a catalogue that is never started."""
_numbers = itertools.count()


class Loads:
    """Makes bundles ready, counts how often each was, and waits where it is told to."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []
        self.at_once = 0
        self.most_at_once = 0
        self._open = threading.Event()
        self._open.set()
        self._began = threading.Event()

    def __call__(self, bundle: Bundle) -> Served:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._began.set()
        assert self._open.wait(60.0), "a test holds the loads and forgot to release them"
        self.made.append((bundle.manifest.name, bundle.manifest.version))
        self.at_once -= 1
        return Served(bundle, Policy(), warmup_s=0.0)

    def hold(self) -> None:
        """From now on a load stops before it makes its bundle ready."""
        self._began.clear()
        self._open.clear()

    async def began(self) -> None:
        """Once a load has stopped."""
        assert await asyncio.to_thread(self._began.wait, 60.0), "no load began"

    def release(self) -> None:
        self._open.set()


def publish(store: Store, name: str = "spelled", *, version: int | None = None, exits: int = 2) -> Bundle:
    """A tiny bundle under this name, as the next version or the one given."""
    source = store.root.parent / f"source-{next(_numbers)}"
    return store.publish(spelled.build(source, exits, name=name).folder, version)


def break_version(store: Store, name: str, version: int) -> None:
    """A file of it no longer has its hash."""
    path = store.folder(name, version) / "head1.onnx"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"more")


def remove(store: Store, name: str, version: int) -> None:
    folder = store.folder(name, version)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def room_for(count: float, bundle: Bundle) -> int:
    """The bytes that so many bundles like this one take."""
    return int(count * memory_bytes(bundle))


@contextlib.asynccontextmanager
async def shelf_of(store: Store, make: Callable[[Bundle], Served], bound: float = math.inf) -> AsyncIterator[Shelf]:
    shelf = Shelf(store, int(min(bound, 2**60)), make)
    try:
        yield shelf
    finally:
        await shelf.close()


@contextlib.asynccontextmanager
async def catalogue_of(
    store: Store, make: Callable[[Bundle], Served], bound: float = math.inf, poll_s: float = NEVER_S
) -> AsyncIterator[Catalogue]:
    """Looked once."""
    catalogue = Catalogue(store, Shelf(store, int(min(bound, 2**60)), make), poll_s)
    try:
        await catalogue.look()
        yield catalogue
    finally:
        await catalogue.close()


def store_at(folder: Path) -> Store:
    return Store(folder / "store")
