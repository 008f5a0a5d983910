"""What Prometheus reads: the exposition parses, has every name, and counts what happened."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from anytime.service.app import Service
from anytime.service.metrics import DEPTHS, SECONDS, Counters, Histograms, Metrics
from anytime.service.settings import Settings
from tests.bundles import spelled
from tests.bundles.spelled import row, rows, sure, unsure
from tests.policy.conftest import make_manifest, planned
from tests.service.engine.engines import LONG_MS, answers_of, ends_of, engine_of, run, serve, submit

EASY = row(sure(0), sure(0), sure(0))
HARD = row(unsure(0), unsure(1), unsure(2))
FULL = 3 * 100 + 9

NAMES = {
    "anytime_rows_admitted": ("counter", {"model"}),
    "anytime_rows": ("counter", {"model", "end"}),
    "anytime_exit_depth": ("histogram", {"model", "version"}),
    "anytime_stops": ("counter", {"model", "version", "reason"}),
    "anytime_request_seconds": ("histogram", {"model"}),
    "anytime_first_prediction_seconds": ("histogram", {"model"}),
    "anytime_queue_seconds": ("histogram", {"model"}),
    "anytime_graph_seconds": ("histogram", {"model", "stage", "part"}),
    "anytime_batch_rows": ("histogram", {"model", "stage"}),
    "anytime_cost_ratio": ("histogram", {"model"}),
    "anytime_saved_macs": ("counter", {"model"}),
    "anytime_deadline_misses": ("counter", {"model"}),
    "anytime_lateness_seconds": ("histogram", {"model"}),
    "anytime_shed": ("counter", {"model", "code"}),
    "anytime_inflight": ("gauge", set()),
    "anytime_state_bytes": ("gauge", set()),
}


def families(metrics: Metrics) -> dict:
    return {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}


def samples(metrics: Metrics) -> dict[tuple, float]:
    """Every sample but the buckets: (name, its label values in the order of the labels' names) -> value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families(metrics).values()
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def test_every_name_is_there_from_the_start(tmp_path):
    """A service that has served nothing yet names all that it will count, each of the right kind."""
    found = families(Service(Settings(store=tmp_path)).metrics)
    kinds = {name: family.type for name, family in found.items() if name in NAMES}
    assert kinds == {name: kind for name, (kind, _) in NAMES.items()}
    assert {"process_resident_memory_bytes", "python_info"} <= found.keys()


@pytest.fixture(scope="module")
def metrics(tmp_path_factory) -> Metrics:
    """After known traffic, one worker: two easy rows, one hard, one that fails, one refused, one whose client left."""
    bundle = spelled.build(tmp_path_factory.mktemp("metrics") / "bundle", version=4)
    metrics = Metrics()

    async def main():
        served = serve(bundle)
        async with engine_of(workers=1, rows=3, metrics=metrics) as engine:
            metrics.gauges.add("anytime_inflight", "Rows.", lambda: engine.rows)
            metrics.gauges.add("anytime_state_bytes", "Bytes.", lambda: engine.state_bytes)
            easy = submit(engine, served, rows(EASY, EASY), confidence=0.9, deadline_ms=LONG_MS)
            await answers_of(engine, easy)
            await answers_of(engine, submit(engine, served, rows(HARD)))
            await ends_of(engine, submit(engine, served, rows(row(sure(0), sure(0), sure(0), trip=1))))
            with pytest.raises(Exception, match="more than this server holds"):
                submit(engine, served, rows(HARD, HARD, HARD, HARD))
            gone = submit(engine, served, rows(HARD, HARD), deadline_ms=LONG_MS)
            engine.cancel(gone)
            engine.finish(gone)

    run(main())
    return metrics


def test_the_exposition_parses(metrics):
    """Each family has the labels of its name, and histograms are cumulative and end at infinity."""
    found = families(metrics)
    for name, (kind, labels) in NAMES.items():
        series = [sample for sample in found[name].samples if not sample.name.endswith("_created")]
        assert found[name].type == kind
        assert all(set(sample.labels) - {"le"} == labels for sample in series)
        buckets: dict[tuple, list[tuple[float, float]]] = {}
        for sample in series:
            if sample.name.endswith("_bucket"):
                key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
                buckets.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        for each in buckets.values():
            assert each == sorted(each)
            assert [value for _, value in each] == sorted(value for _, value in each)
            assert each[-1][0] == float("inf")


def test_known_traffic_is_counted(metrics):
    """Rows, ends, reasons, depths, costs and what was saved are those of the traffic, and rows are what is counted."""
    got = samples(metrics)
    model, version = "spelled", "4"
    expected = {
        ("anytime_rows_admitted_total", model): 6.0,
        ("anytime_rows_total", "answered", model): 3.0,
        ("anytime_rows_total", "failed", model): 1.0,
        ("anytime_rows_total", "cancelled", model): 2.0,
        ("anytime_stops_total", model, "confidence", version): 2.0,
        ("anytime_stops_total", model, "full_depth", version): 1.0,
        ("anytime_exit_depth_count", model, version): 3.0,
        ("anytime_exit_depth_sum", model, version): 1.0 + 1.0 + 3.0,
        ("anytime_cost_ratio_count", model): 3.0,
        ("anytime_cost_ratio_sum", model): pytest.approx(2 * 109 / FULL + 1.0),
        ("anytime_saved_macs_total", model): 2.0 * (FULL - 109),
        ("anytime_shed_total", "batch_too_large", model): 4.0,
        ("anytime_request_seconds_count", model): 4.0,
        ("anytime_first_prediction_seconds_count", model): 3.0,
        ("anytime_lateness_seconds_count", model): 2.0,
        ("anytime_inflight",): 0.0,
        ("anytime_state_bytes",): 0.0,
    }
    assert {key: got[key] for key in expected} == expected
    assert ("anytime_deadline_misses_total", model) not in got


def test_graphs_and_batches_are_counted(metrics):
    """One run of both rows' first stage, one of each graph of the hard row; a graph that failed has no time."""
    got = samples(metrics)
    graphs = {key[2:]: value for key, value in got.items() if key[0] == "anytime_graph_seconds_count"}
    assert {("head", "1"): 1.0, ("body", "2"): 1.0, ("body", "3"): 1.0, ("head", "3"): 1.0}.items() <= graphs.items()
    assert ("head", "2") not in graphs
    rows_of_stage_3 = [got[f"anytime_batch_rows_{part}", "spelled", "3"] for part in ("count", "sum")]
    assert rows_of_stage_3 == [1.0, 1.0]
    assert got["anytime_batch_rows_sum", "spelled", "1"] >= 3.0


@pytest.mark.parametrize(("value", "bucket"), [(1.0, 1.0), (1.5, 2.0), (2.0, 2.0), (64.0, 64.0), (65.0, float("inf"))])
def test_a_bound_is_in_its_bucket(value, bucket):
    """A value lies in the first bucket whose bound it does not exceed."""
    histogram = Histograms("x", "Help.", ["model"], DEPTHS)
    histogram.observe(value, "m")
    filled = [s for s in histogram.collect().samples if s.name == "x_bucket" and s.value]
    assert float(filled[0].labels["le"]) == bucket
    assert [s.value for s in histogram.collect().samples if s.name == "x_sum"] == [value]


def test_names_of_models_are_escaped():
    """Whatever a label holds, the exposition parses to it again."""
    counter = Counters("odd", "Help.", ["model"])
    counter.add(2.0, 'a"b\\c\nd')
    (sample,) = [s for s in counter.collect().samples if s.name == "odd_total"]
    assert (sample.labels["model"], sample.value) == ('a"b\\c\nd', 2.0)


def test_buckets_are_sub_millisecond():
    """Fast exits are told apart: there are several bounds below a millisecond."""
    assert len([bound for bound in SECONDS if bound < 1e-3]) >= 4


def test_reading_while_counting():
    """An exposition that is written while others count is whole."""

    nodes = planned(make_manifest(4)).flow.nodes

    async def main():
        metrics = Metrics()

        def count():
            for n in range(20_000):
                metrics.ran(f"m{n % 50}", [(nodes[n % 7], 1.0)], 1)

        counting = asyncio.create_task(asyncio.to_thread(count))
        while not counting.done():
            families(metrics)
            await asyncio.sleep(0)
        await counting
        total = sum(v for key, v in samples(metrics).items() if key[0] == "anytime_graph_seconds_count")
        assert total == 20_000

    asyncio.run(main())


def test_a_known_model_begins_at_zero():
    """Before its first request a model's misses and lateness are there, so that rates see the first."""
    metrics = Metrics()
    metrics.known("fresh")
    got = samples(metrics)
    assert got[("anytime_deadline_misses_total", "fresh")] == 0.0
    assert got[("anytime_lateness_seconds_count", "fresh")] == 0.0
