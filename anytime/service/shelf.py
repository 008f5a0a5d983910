"""The bundle versions in memory: loaded once, bounded in bytes, least recently used out first."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from anytime.model_store import Bundle, BundleError, Store, StoreError
from anytime.policy import PolicyError
from anytime.service.allocator import return_freed_memory
from anytime.service.engine.served import Served
from anytime.service.errors import BundleRefused, Loading, ServiceError

log = logging.getLogger(__name__)

PREPACKED = 2.5
"""Bytes in memory per byte of weights: ONNX Runtime keeps prepacked copies (2.3 measured)."""
OVERHEAD_BYTES = 2 * 1024**2
"""Of a bundle's sessions beside its weights."""

Version = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a version is not served."""

    code: str
    message: str
    is_lasting: bool = True
    """Whether another load would end the same: so it is with a bundle's own fault, and not with the machine's."""


class Shelf:
    """Lives on the event loop; opening and warming up happen on a thread of its own, one bundle at a time."""

    def __init__(self, store: Store, bound_bytes: int, make: Callable[[Bundle], Served]) -> None:
        """``make``: what turns a verified bundle into a served one; called off the loop."""
        self._store = store
        self._bound = bound_bytes
        self._make = make
        self._served: OrderedDict[Version, Served] = OrderedDict()
        self._loading: dict[Version, asyncio.Task[Served]] = {}
        self._turn = asyncio.Lock()
        """Held by the load under way: two at once would each find room for themselves alone."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="anytime-load")
        self.faults: dict[Version, Fault] = {}

    @property
    def bytes(self) -> int:
        """The estimated memory of all that is loaded."""
        return sum(memory_bytes(served.bundle) for served in self._served.values())

    def get(self, version: Version) -> Served | None:
        """A loaded version, now the most recently used."""
        served = self._served.get(version)
        if served is not None:
            self._served.move_to_end(version)
        return served

    def peek(self, version: Version) -> Served | None:
        """A loaded version, without counting as a use."""
        return self._served.get(version)

    async def load(self, version: Version) -> Served:
        """A version, loaded if it is not; everybody who waits for it waits for the same load.

        Raises ``BundleRefused`` where its checks fail, ``Loading`` where nothing can make room for it now.
        """
        served = self.get(version)
        if served is not None:
            return served
        task = self._loading.get(version)
        if task is None:
            task = self._loading[version] = asyncio.create_task(self._load(version))
            task.add_done_callback(functools.partial(self._loaded, version))
        return await asyncio.shield(task)

    @property
    def loading(self) -> tuple[Version, ...]:
        return tuple(self._loading)

    def forget(self, keep: Callable[[Version], bool]) -> None:
        """Drops what the store no longer has; rows under way keep their bundle until they end."""
        for version in [version for version in (*self._served, *self.faults) if not keep(version)]:
            self._served.pop(version, None)
            self.faults.pop(version, None)

    async def close(self) -> None:
        """Ends the loads under way; the one on the thread is waited for, and the loop goes on meanwhile."""
        for task in list(self._loading.values()):
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    async def _load(self, version: Version) -> Served:
        async with self._turn:
            return await self._load_alone(version)

    async def _load_alone(self, version: Version) -> Served:
        loop = asyncio.get_running_loop()
        try:
            bundle = await loop.run_in_executor(self._thread, self._store.open, *version)
            self._make_room(version, memory_bytes(bundle))
            served = await loop.run_in_executor(self._thread, self._make, bundle)
            await loop.run_in_executor(self._thread, return_freed_memory)
        except Loading:
            raise
        except Exception as error:  # whatever a bundle makes a library raise: the service and the other bundles go on
            fault = self._fault(error)
            self.faults[version] = fault
            log.error("bundle refused", extra={"model": version[0], "version": version[1], "code": fault.code,
                                               "reason": fault.message})  # fmt: skip
            raise BundleRefused(f"{version[0]} version {version[1]} is not served: {fault.code}") from error
        self.faults.pop(version, None)
        self._served[version] = served
        log.info("bundle loaded", extra={"model": version[0], "version": version[1], "exits": served.flow.exits})
        return served

    def _make_room(self, version: Version, needed: int) -> None:
        if needed > self._bound:
            raise BundleError(
                f"it needs about {needed} bytes of memory and model_bytes allows {self._bound} for all bundles"
            )
        busy = sum(memory_bytes(served.bundle) for served in self._served.values() if served.in_flight)
        if busy + needed > self._bound:
            raise Loading(
                f"{version[0]} version {version[1]} waits for memory that busy models hold: retry later",
                retry_after_s=1.0,
            )
        self._evict(needed)

    def _evict(self, needed: int) -> None:
        """Unloads idle bundles, least recently used first, until ``needed`` bytes fit."""
        idle = [version for version, served in self._served.items() if served.in_flight == 0]
        unloaded = []
        for version in idle:
            if self.bytes + needed <= self._bound:
                break
            del self._served[version]
            unloaded.append(version)
        if unloaded:
            gc.collect()  # a bundle's parts name each other
            return_freed_memory()
        for model, number in unloaded:
            log.info("bundle unloaded", extra={"model": model, "version": number})

    def _loaded(self, version: Version, task: asyncio.Task[Served]) -> None:
        self._loading.pop(version, None)
        if not task.cancelled():
            task.exception()  # seen here, for a waiter may have left; raised to those who wait

    def _fault(self, error: Exception) -> Fault:
        message = str(error).replace(str(self._store.root), "<store>")
        if not isinstance(error, StoreError | PolicyError | ServiceError | OSError | MemoryError):
            log.error("bundle unreadable", exc_info=error)
        return Fault(
            getattr(error, "code", "unreadable"), message, is_lasting=not isinstance(error, OSError | MemoryError)
        )


def memory_bytes(bundle: Bundle) -> int:
    """What a bundle takes in memory, estimated."""
    return int(PREPACKED * bundle.weight_bytes) + OVERHEAD_BYTES
