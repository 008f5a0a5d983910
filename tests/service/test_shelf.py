"""Bundles in memory: loaded once, bounded, least recently used out first; a bad one hurts nobody else."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from anytime.service.errors import BundleRefused, Loading
from tests.service.shelves import Loads, break_version, publish, remove, room_for, shelf_of, store_at


def test_a_version_is_loaded_once(tmp_path):
    """Everybody who asks while it is being loaded, and after, gets the same bundle of one load."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with shelf_of(store, loads) as shelf:
            loads.hold()
            waiting = [asyncio.create_task(shelf.load(("spelled", 1))) for _ in range(5)]
            await loads.began()
            assert shelf.loading == (("spelled", 1),)
            assert shelf.get(("spelled", 1)) is None
            loads.release()
            served = await asyncio.gather(*waiting)
            assert len({id(each) for each in (*served, await shelf.load(("spelled", 1)))}) == 1
            assert loads.made == [("spelled", 1)]
            assert shelf.loading == ()

    asyncio.run(main())


def test_who_gives_up_does_not_stop_the_others(tmp_path):
    """A waiter whose deadline passes leaves; the load goes on for the rest."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with shelf_of(store, loads) as shelf:
            loads.hold()
            impatient, patient = (asyncio.create_task(shelf.load(("spelled", 1))) for _ in range(2))
            await loads.began()
            impatient.cancel()
            loads.release()
            assert (await patient).version == 1

    asyncio.run(main())


def test_memory_is_bounded_and_the_least_recently_used_goes(tmp_path):
    """With room for two a third takes the place of the one that was not used for longest."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        bundle, *_ = (publish(store, name) for name in ("a", "b", "c"))
        async with shelf_of(store, loads, room_for(2.5, bundle)) as shelf:
            for name in ("a", "b"):
                await shelf.load((name, 1))
            assert shelf.get(("a", 1)) is not None
            assert shelf.peek(("b", 1)) is not None, "a look is no use"
            await shelf.load(("c", 1))
            assert [name for name in "abc" if shelf.peek((name, 1))] == ["a", "c"]
            assert shelf.bytes <= room_for(2.5, bundle)
            assert (await shelf.load(("b", 1))).name == "b"
            assert [name for name in "abc" if shelf.peek((name, 1))] == ["b", "c"]

    asyncio.run(main())


def test_an_unloaded_bundle_is_really_gone(tmp_path):
    """Nothing keeps an unloaded bundle's sessions alive."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        bundle, *_ = (publish(store, name) for name in ("a", "b"))
        async with shelf_of(store, loads, room_for(1.5, bundle)) as shelf:
            gone = weakref.ref((await shelf.load(("a", 1))).runner)
            await shelf.load(("b", 1))
            gc.collect()
            assert gone() is None

    asyncio.run(main())


def test_two_loads_do_not_share_the_same_room(tmp_path):
    """Of two loads at once the second counts the first: the bound holds, and one bundle is made ready at a time."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        bundle, *_ = (publish(store, name) for name in ("a", "b", "c"))
        async with shelf_of(store, loads, room_for(1.5, bundle)) as shelf:
            await asyncio.gather(*(shelf.load((name, 1)) for name in "abc"))
            assert loads.most_at_once == 1
            assert shelf.bytes <= room_for(1.5, bundle)

    asyncio.run(main())


def test_a_busy_bundle_is_not_unloaded(tmp_path):
    """What has rows in flight stays; who finds no room is told ``loading``, unloads nobody in vain, and may retry."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        bundle, *_ = (publish(store, name) for name in ("a", "b"))
        big = publish(store, "big", exits=40)
        bound = room_for(1, big) + room_for(0.5, bundle)
        async with shelf_of(store, loads, max(bound, room_for(2.5, bundle))) as shelf:
            busy, idle = await shelf.load(("a", 1)), await shelf.load(("b", 1))
            busy.in_flight += 1
            with pytest.raises(Loading) as refused:
                await shelf.load(("big", 1))
            assert refused.value.status == 503
            assert refused.value.retry_after_s is not None
            assert shelf.get(("a", 1)) is busy
            assert shelf.get(("b", 1)) is idle
            assert shelf.faults == {}
            busy.in_flight -= 1
            assert (await shelf.load(("big", 1))).name == "big"

    asyncio.run(main())


def test_a_bundle_larger_than_all_memory_is_refused(tmp_path):
    """What can never fit is a fault that names both sizes, and unloads nobody."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store, "a")
        bundle = publish(store, "big", exits=40)
        async with shelf_of(store, loads, room_for(0.9, bundle)) as shelf:
            await shelf.load(("a", 1))
            with pytest.raises(BundleRefused):
                await shelf.load(("big", 1))
            assert str(room_for(1, bundle)) in shelf.faults["big", 1].message
            assert shelf.get(("a", 1)) is not None

    asyncio.run(main())


def test_a_broken_bundle_is_a_fault(tmp_path):
    """A wrong hash is refused with its code, and the message does not say where the store lies."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        break_version(store, "spelled", 1)
        async with shelf_of(store, loads) as shelf:
            with pytest.raises(BundleRefused):
                await shelf.load(("spelled", 1))
            fault = shelf.faults["spelled", 1]
            assert (fault.code, fault.is_lasting) == ("wrong_hash", True)
            assert str(tmp_path) not in fault.message

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "lasting"), [(ZeroDivisionError("0"), True), (OSError("disk"), False), (MemoryError(), False)]
)
def test_whatever_a_load_raises_is_a_fault(tmp_path, error, lasting):
    """Even what nobody thought of is this bundle's fault; what was the machine's may be tried again, and heals."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        faults = [error]

        def make(bundle):
            if faults:
                raise faults.pop()
            return loads(bundle)

        async with shelf_of(store, make) as shelf:
            with pytest.raises(BundleRefused):
                await shelf.load(("spelled", 1))
            assert shelf.faults["spelled", 1].is_lasting == lasting
            assert (await shelf.load(("spelled", 1))).version == 1
            assert shelf.faults == {}

    asyncio.run(main())


def test_what_the_store_no_longer_has_is_forgotten(tmp_path):
    """Bundles and faults go with their versions."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        for _ in range(2):
            publish(store)
        break_version(store, "spelled", 2)
        async with shelf_of(store, loads) as shelf:
            await shelf.load(("spelled", 1))
            with pytest.raises(BundleRefused):
                await shelf.load(("spelled", 2))
            remove(store, "spelled", 1)
            shelf.forget(lambda version: version == ("other", 1))
            assert (shelf.get(("spelled", 1)), shelf.faults) == (None, {})

    asyncio.run(main())


def test_close_ends_the_loads(tmp_path):
    """Who waits for a load when the server ends is not left waiting, and the loop goes on while the load ends."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with shelf_of(store, loads) as shelf:
            loads.hold()
            waits = asyncio.create_task(shelf.load(("spelled", 1)))
            await loads.began()
            closing = asyncio.create_task(shelf.close())
            (ended,) = await asyncio.gather(waits, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError)
            loads.release()
            await closing

    asyncio.run(main())
