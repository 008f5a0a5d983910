"""Which bundles are served under which names: the store watched, and every switch made without a failed request."""

from __future__ import annotations

import asyncio
import difflib
import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from anytime.model_store import Store, StoreError
from anytime.model_store.store import LATEST, STABLE, Fingerprint
from anytime.service.engine.served import Served
from anytime.service.errors import BundleRefused, Loading, ModelNotFound, ServiceError, VersionNotFound
from anytime.service.shelf import Fault, Shelf, Version

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the store: each model's versions and aliases (``latest`` among them)."""

    fingerprint: Fingerprint
    versions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Catalogue:
    """Lives on the event loop. An alias moves once the version that it names is loaded; until then the old one answers."""

    def __init__(self, store: Store, shelf: Shelf, poll_s: float) -> None:
        self._store = store
        self._shelf = shelf
        self._poll_s = poll_s
        self._seen = Seen(frozenset())
        self._active: dict[str, dict[str, int]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()

    async def start(self) -> None:
        """Starts watching; returns at once. ``first_look`` waits until what the store names was loaded or refused."""
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stops watching and loading."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._shelf.close()

    async def first_look(self) -> None:
        """Waits until the store has been looked at once, and what it names been loaded or refused."""
        await self._looked.wait()

    def at_hand(self, model: str, reference: str | None) -> Served | None:
        """The bundle that a request means if it is in memory. Raises ``ModelNotFound`` or ``VersionNotFound``."""
        return self._shelf.get((model, self.resolve(model, reference)))

    async def acquire(self, model: str, reference: str | None, until: float) -> Served:
        """The bundle that a request means, loaded if need be.

        ``until``: when, on ``time.perf_counter``, the caller stops waiting. Raises ``ModelNotFound``, ``VersionNotFound``,
        ``BundleRefused``, ``Loading``.
        """
        version = (model, self.resolve(model, reference))
        served = self._shelf.get(version)
        if served is not None:
            return served
        fault = self._shelf.faults.get(version)
        if fault is not None and fault.is_lasting:
            raise BundleRefused(f"{model} version {version[1]} is not served: {fault.code}; see /readyz")
        left = until - time.perf_counter()
        try:
            async with asyncio.timeout(None if left == math.inf else left):  # even if none is left, the load begins
                return await self._shelf.load(version)
        except TimeoutError:
            raise Loading(
                f"{model} version {version[1]} is being loaded, and the deadline does not allow the wait: retry soon"
            ) from None

    def resolve(self, model: str, reference: str | None) -> int:
        """The version that a reference means now: ``stable`` if set, else ``latest``, where none is given.

        Raises ``ModelNotFound`` or ``VersionNotFound``.
        """
        versions = self._seen.versions.get(model)
        if not versions:
            raise ModelNotFound(f"no model {model[:64]!r}; {_nearest(model, self._seen.versions)}")
        active = self._active.get(model, {})
        if reference is None:
            return active.get(STABLE) or active.get(LATEST) or self._named(model)[0]
        if reference in active:
            return active[reference]
        named = self._seen.aliases[model].get(reference)
        if named in versions:
            return named
        if reference in map(str, versions):
            return int(reference)
        known = [*map(str, versions), *self._seen.aliases[model]]
        raise VersionNotFound(f"model {model} has no version {reference[:64]!r}; it has {', '.join(known[-20:])}")

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the store names."""
        return tuple(sorted(self._seen.versions))

    def versions(self, model: str) -> tuple[int, ...]:
        return self._seen.versions.get(model, ())

    def aliases(self, model: str) -> Mapping[str, int]:
        """The aliases as requests see them now."""
        return {**self._seen.aliases.get(model, {}), **self._active.get(model, {})}

    def loaded(self, model: str, version: int) -> Served | None:
        """A version if it is in memory."""
        return self._shelf.peek((model, version))

    @property
    def faults(self) -> Mapping[Version, Fault]:
        """The versions that failed their checks, and why."""
        return self._shelf.faults

    @property
    def ready(self) -> bool:
        """Whether the first look is done and at least one model answers."""
        return self._looked.is_set() and any(
            (model, self.resolve(model, None)) not in self._shelf.faults for model in self._seen.versions
        )

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # a store that cannot be read now may be readable in a moment
                log.exception("the store could not be looked at")
            self._looked.set()
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Looks at the store once, and follows what changed or could not be followed before."""
        fingerprint = await asyncio.to_thread(self._store.fingerprint)
        if fingerprint != self._seen.fingerprint:
            changed = {entry[:2] for entry in self._seen.fingerprint - fingerprint}
            self._seen = await asyncio.to_thread(_see, self._store, fingerprint, self._seen)
            here = {(model, number) for model, versions in self._seen.versions.items() for number in versions}
            self._shelf.forget(lambda version: version in here and version not in changed)
            self._drop_gone()
        for model in self._seen.versions:
            for number in self._named(model):
                if self._is_awaited(model, number):
                    await self._follow(model, number)

    def _is_awaited(self, model: str, number: int) -> bool:
        """Whether an alias names the version, requests do not get it yet, and a load may succeed."""
        fault = self._shelf.faults.get((model, number))
        if fault is not None and fault.is_lasting:
            return False
        active = self._active.get(model, {})
        return any(target == number != active.get(alias) for alias, target in self._seen.aliases[model].items())

    async def _follow(self, model: str, number: int) -> None:
        """Loads a version that an alias names, then moves the aliases that name it."""
        try:
            await self._shelf.load((model, number))
        except ServiceError as error:
            log.warning("not switched", extra={"model": model, "version": number, "code": error.code})
            return
        moved = [alias for alias, target in self._seen.aliases[model].items() if target == number]
        self._active.setdefault(model, {}).update(dict.fromkeys(moved, number))

    def _named(self, model: str) -> list[int]:
        """The versions that aliases name and the store has, the default first."""
        aliases = self._seen.aliases[model]
        wanted = [aliases.get(STABLE, aliases[LATEST]), *aliases.values()]
        return list(dict.fromkeys(number for number in wanted if number in self._seen.versions[model]))

    def _drop_gone(self) -> None:
        for model in list(self._active):
            named = self._seen.aliases.get(model, {})
            versions = self._seen.versions.get(model, ())
            self._active[model] = {a: n for a, n in self._active[model].items() if a in named and n in versions}


def _see(store: Store, fingerprint: Fingerprint, before: Seen) -> Seen:
    """A model that cannot be read, for instance for a broken alias, stays as it was ``before``: the others go on."""
    versions: dict[str, tuple[int, ...]] = {}
    aliases: dict[str, Mapping[str, int]] = {}
    found: tuple[int, ...]
    named: Mapping[str, int]
    for model in store.models():
        try:
            found, named = store.versions(model), store.aliases(model)
        except (StoreError, OSError) as error:
            log.warning("model not looked at", extra={"model": model, "reason": str(error)})
            if model not in before.versions:
                continue
            found, named = before.versions[model], before.aliases[model]
        versions[model], aliases[model] = found, named
    return Seen(fingerprint, versions, aliases)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"did you mean {near[0]!r}?" if near else "the store is empty"
