"""Which versions requests get: the store watched, every switch made without a failed request."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from anytime.service.errors import BundleRefused, Loading, ModelNotFound, VersionNotFound
from tests.bundles.spelled import row, rows, sure
from tests.service.engine.engines import answers_of, engine_of, submit, told
from tests.service.shelves import Loads, break_version, catalogue_of, publish, remove, room_for, store_at

ONE = row(sure(0), sure(1))


async def version_of(catalogue, reference: str | None = None, model: str = "spelled") -> int:
    """The version that a request gets."""
    return (await catalogue.acquire(model, reference, math.inf)).version


def test_a_new_version_is_switched_to(tmp_path):
    """While the new version is being loaded the old one answers; once it is loaded, it does."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with catalogue_of(store, loads) as catalogue:
            assert await version_of(catalogue) == 1
            publish(store)
            loads.hold()
            looking = asyncio.create_task(catalogue.look())
            await loads.began()
            assert await version_of(catalogue) == await version_of(catalogue, "latest") == 1
            assert catalogue.aliases("spelled") == {"latest": 1}
            loads.release()
            await looking
            assert await version_of(catalogue) == await version_of(catalogue, "latest") == 2
            assert await version_of(catalogue, "1") == 1

    asyncio.run(main())


def test_requests_run_through_every_switch(tmp_path):
    """Requests without pause, while versions are published, moved, broken and removed: each is answered, none twice."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        seen, ending = [], asyncio.Event()

        async def ask(engine, catalogue):
            while not ending.is_set():
                served = await catalogue.acquire("spelled", None, math.inf)
                await asyncio.sleep(0)  # a switch may come between
                answers = await answers_of(engine, submit(engine, served, rows(ONE)))
                assert [told(answer) for answer in answers] == [(2, 1, "full_depth")]
                seen.append(served.version)

        async with catalogue_of(store, loads) as catalogue, engine_of(workers=2) as engine:
            tasks = [asyncio.create_task(ask(engine, catalogue)) for _ in range(8)]

            async def look(version):
                await catalogue.look()
                while not seen or seen[-1] != version:
                    assert not any(task.done() for task in tasks), "a request failed"
                    await asyncio.sleep(0)

            await look(1)
            publish(store)
            await look(2)
            store.set_alias("spelled", "stable", 1)
            await look(1)
            publish(store)
            break_version(store, "spelled", 3)
            await look(1)
            store.remove_alias("spelled", "stable")
            await look(2)
            remove(store, "spelled", 3)
            publish(store, version=4)
            await look(4)
            remove(store, "spelled", 1)
            remove(store, "spelled", 2)
            await look(4)
            ending.set()
            await asyncio.gather(*tasks)
        assert set(seen) == {1, 2, 4}

    asyncio.run(main())


def test_an_alias_moves(tmp_path):
    """Without a reference ``stable`` is meant, else ``latest``; other aliases by name."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        for _ in range(3):
            publish(store)
        store.set_alias("spelled", "canary", 2)
        async with catalogue_of(store, loads) as catalogue:
            assert [await version_of(catalogue, name) for name in (None, "latest", "canary", "1")] == [3, 3, 2, 1]
            store.set_alias("spelled", "stable", 1)
            store.set_alias("spelled", "canary", 3)
            await catalogue.look()
            assert [await version_of(catalogue, name) for name in (None, "latest", "canary")] == [1, 3, 3]
            store.remove_alias("spelled", "stable")
            store.remove_alias("spelled", "canary")
            await catalogue.look()
            assert await version_of(catalogue) == 3
            with pytest.raises(VersionNotFound):
                catalogue.resolve("spelled", "canary")

    asyncio.run(main())


def test_a_broken_new_version_leaves_the_old_one(tmp_path):
    """It is listed with its fault, asked for by number it is 503, and the next good version is switched to."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with catalogue_of(store, loads) as catalogue:
            publish(store)
            break_version(store, "spelled", 2)
            await catalogue.look()
            assert await version_of(catalogue) == await version_of(catalogue, "latest") == 1
            assert catalogue.faults["spelled", 2].code == "wrong_hash"
            with pytest.raises(BundleRefused):
                await catalogue.acquire("spelled", "2", math.inf)
            publish(store)
            await catalogue.look()
            assert await version_of(catalogue) == 3

    asyncio.run(main())


def test_one_bad_bundle_does_not_keep_the_others(tmp_path):
    """Whatever happens while one model is loaded, those after it are loaded all the same."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        for name in ("a", "b", "c", "d"):
            publish(store, name)
        break_version(store, "a", 1)

        def make(bundle):
            if bundle.manifest.name == "b":
                raise KeyError("nobody thought of this")
            return loads(bundle)

        async with catalogue_of(store, make) as catalogue:
            assert [name for name, _ in loads.made] == ["c", "d"]
            assert sorted(name for name, _ in catalogue.faults) == ["a", "b"]
            assert catalogue.models == ("a", "b", "c", "d")

    asyncio.run(main())


def test_nothing_served_is_not_ready(tmp_path):
    """An empty store, and one with broken bundles only, are not ready."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        async with catalogue_of(store, loads) as catalogue:
            assert not catalogue.ready
            publish(store)
            break_version(store, "spelled", 1)
            await catalogue.start()
            await catalogue.first_look()
            assert not catalogue.ready
            publish(store)
            await catalogue.look()
            assert catalogue.ready
            assert await version_of(catalogue) == 2

    asyncio.run(main())


def test_a_load_that_outlasts_the_deadline(tmp_path):
    """Who can wait no longer is told ``loading``; the load goes on, and the next request finds the bundle."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        for _ in range(2):
            publish(store)
        async with catalogue_of(store, loads) as catalogue:
            assert catalogue.at_hand("spelled", "1") is None
            loads.hold()
            with pytest.raises(Loading) as refused:
                await catalogue.acquire("spelled", "1", time.perf_counter() - 1.0)
            assert (refused.value.status, refused.value.code) == (503, "loading")
            assert refused.value.retry_after_s is not None
            await loads.began()
            loads.release()
            assert await version_of(catalogue, "1") == 1
            assert loads.made.count(("spelled", 1)) == 1

    asyncio.run(main())


def test_an_unloaded_model_comes_back_on_demand(tmp_path):
    """With room for one bundle two models are served in turn."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        bundle, *_ = (publish(store, name) for name in ("a", "b"))
        async with catalogue_of(store, loads, room_for(1.5, bundle)) as catalogue:
            for name in "abab":
                assert await version_of(catalogue, None, name) == 1
                assert catalogue.at_hand(name, None) is not None
            assert len(loads.made) > 2

    asyncio.run(main())


def test_what_found_no_room_is_followed_later(tmp_path):
    """A new version that could not be loaded beside a busy bundle is switched to at a later look, the store unchanged."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        bundle = publish(store)
        async with catalogue_of(store, loads, room_for(1.5, bundle)) as catalogue:
            busy = await catalogue.acquire("spelled", None, math.inf)
            busy.in_flight += 1
            publish(store)
            await catalogue.look()
            assert await version_of(catalogue) == 1
            busy.in_flight -= 1
            await catalogue.look()
            assert await version_of(catalogue) == 2

    asyncio.run(main())


def test_a_version_that_goes(tmp_path):
    """A removed version is 404 by number, an alias of it falls back, and a model without versions is gone."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        for _ in range(3):
            publish(store)
        store.set_alias("spelled", "stable", 2)
        async with catalogue_of(store, loads) as catalogue:
            assert await version_of(catalogue) == 2
            remove(store, "spelled", 2)
            await catalogue.look()
            with pytest.raises(VersionNotFound):
                catalogue.resolve("spelled", "2")
            with pytest.raises(VersionNotFound):
                catalogue.resolve("spelled", "stable")
            assert await version_of(catalogue) == 3
            assert catalogue.versions("spelled") == (1, 3)
            for number in (1, 3):
                remove(store, "spelled", number)
            await catalogue.look()
            with pytest.raises(ModelNotFound):
                catalogue.resolve("spelled", None)
            assert catalogue.models == ()

    asyncio.run(main())


def test_a_version_that_was_replaced(tmp_path):
    """Between two looks a version was removed and published anew: requests get the new bundle."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store, exits=2)
        async with catalogue_of(store, loads) as catalogue:
            assert (await catalogue.acquire("spelled", None, math.inf)).flow.exits == 2
            remove(store, "spelled", 1)
            publish(store, exits=3, version=1)
            await catalogue.look()
            assert (await catalogue.acquire("spelled", None, math.inf)).flow.exits == 3

    asyncio.run(main())


@pytest.mark.parametrize("reference", ["9", "01", "0", "-1", "1.0", "nightly", "", "1" * 40, "../1"])
def test_references_that_name_nothing(tmp_path, reference):
    """An unknown version or alias is 404 and tells what there is."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with catalogue_of(store, loads) as catalogue:
            with pytest.raises(VersionNotFound, match="it has 1, latest"):
                catalogue.resolve("spelled", reference)
            with pytest.raises(ModelNotFound, match="did you mean 'spelled'"):
                catalogue.resolve("speled", None)

    asyncio.run(main())


def test_unchanged_stores_are_left_alone(tmp_path):
    """Looking again loads nothing and moves nothing."""

    async def main():
        store, loads = store_at(tmp_path), Loads()
        publish(store)
        async with catalogue_of(store, loads) as catalogue:
            for _ in range(5):
                await catalogue.look()
            assert loads.made == [("spelled", 1)]

    asyncio.run(main())
