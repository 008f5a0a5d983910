"""The metrics of several processes, added up."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

from anytime.service.metrics import Metrics
from anytime.service.processes.totals import Family, added, exposition, families, lasting

Sample = tuple[str, tuple[tuple[str, str], ...]]


def samples(text: str) -> dict[Sample, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ours(values: dict[Sample, float]) -> dict[Sample, float]:
    return {key: value for key, value in values.items() if key[0].startswith("anytime")}


def use(metrics: Metrics, models: Sequence[str]) -> None:
    """Something of every kind, for each of the models."""
    for place, model in enumerate(models, 1):
        metrics.known(model)
        metrics.admitted(model, place)
        metrics.queued(model, place / 100)
        metrics.request(model, place / 7)
        metrics.ended(model, "answered")
        metrics.shed(model, "queue_full", 2)


def test_the_sum_is_what_one_process_would_have_counted() -> None:
    """Two processes with models of their own and one in common, against one that did all of it."""
    first, second, one = Metrics(), Metrics(), Metrics()
    for metrics, models in ((first, ["a", "b"]), (second, ["b", "c", "c"])):
        use(metrics, models)
        use(one, models)
    of_all = added([families(first.registry), families(second.registry)])
    expected = ours(samples(one.exposition().decode()))
    assert ours(samples(exposition(of_all))) == expected
    assert expected["anytime_rows_admitted_total", (("model", "b"),)] == 3


def test_the_exposition_is_the_same_text() -> None:
    """Of one process alone not a byte differs: help, types, the order of series and buckets."""
    metrics = Metrics()
    use(metrics, ["a", "b"])
    ours_only = [family for family in families(metrics.registry) if family.name.startswith("anytime")]
    assert metrics.exposition().decode().startswith(exposition(added([ours_only])))


def gauge(name: str, value: float) -> Family:
    return Family(name, "Help.", "gauge", [(name, {}, value)])


def counter(value: float, **labels: str) -> Family:
    return Family("seen", "Help.", "counter", [("seen_total", labels, value)])


def test_gauges() -> None:
    """Memory adds up; when the first process started, and what is the same everywhere, does not."""
    values = samples(
        exposition(
            added(
                [
                    gauge("process_resident_memory_bytes", mb),
                    gauge("process_start_time_seconds", at),
                    gauge("python_info", 1),
                ]
                for mb, at in ((10, 7), (32, 9))
            )
        )
    )
    assert values == {
        ("process_resident_memory_bytes", ()): 42,
        ("process_start_time_seconds", ()): 7,
        ("python_info", ()): 1,
    }


def test_what_an_ended_process_counted_stays() -> None:
    """Its counters are added to those of the next, also under labels that only it had; its gauges are gone with it."""
    past = lasting([counter(5, model="a"), counter(2, model="b"), gauge("inflight", 3)])
    values = samples(exposition(added([past, [counter(1, model="a"), gauge("inflight", 4)]])))
    assert values == {
        ("seen_total", (("model", "a"),)): 6,
        ("seen_total", (("model", "b"),)): 2,
        ("inflight", ()): 4,
    }


def test_adding_leaves_what_was_said_as_it_is() -> None:
    """The last word of a process is added again at the next question."""
    said = [counter(5, model="a")]
    assert added([said, said])[0].samples == [("seen_total", {"model": "a"}, 10)]
    assert said == [counter(5, model="a")]
