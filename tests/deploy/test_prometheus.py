"""A real Prometheus scrapes the real service with the configuration that compose mounts."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deploy import dawdler
from tests.programs import need
from tests.served import background, free_port, wait_until_answered

CONFIG = Path(__file__).parents[2] / "deploy" / "prometheus.yml"


def derived(target: str) -> str:
    """deploy/prometheus.yml with another target, scraped often enough for a test."""
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] |= {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def prometheus(service, tmp_path_factory):
    """Its URL; it keeps what it scrapes in a folder of the test's."""
    folder = tmp_path_factory.mktemp("prometheus")
    program, port = need("prometheus"), free_port()
    (folder / "prometheus.yml").write_text(derived(service.address))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log, url = folder / "log", f"http://127.0.0.1:{port}"
    with log.open("wb") as output, background(command, output) as process:
        wait_until_answered(f"{url}/-/ready", process, log)
        yield url


def query(url: str, expression: str) -> list[dict]:
    reply = httpx.get(f"{url}/api/v1/query", params={"query": expression}).raise_for_status().json()
    return reply["data"]["result"]


def scraped(url: str, expression: str) -> list[dict]:
    """The series once there are any; the scrape is Prometheus' own doing, so this waits for it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        series = query(url, expression)
        if series:
            return series
        time.sleep(0.1)
    raise AssertionError(f"Prometheus has no {expression}: {httpx.get(f'{url}/api/v1/targets').text}")


def test_configuration_is_valid():
    """Prometheus' own checker accepts the file."""
    result = subprocess.run(
        [need("promtool"), "check", "config", str(CONFIG)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_sees_the_exit_depth(service, prometheus):
    """After one request to exit 1, Prometheus knows one row of depth 1, with its model and version."""
    body = {"inputs": [[0.0, 1.0]], "policy": {"max_exit": 1}}
    httpx.post(f"{service.url}/v1/models/{dawdler.NAME}/predict", json=body).raise_for_status()
    series = scraped(prometheus, 'anytime_exit_depth_bucket{le="1.0"} > 0')
    assert {each["metric"]["model"] for each in series} == {dawdler.NAME}
    assert {each["metric"]["version"] for each in series} == {"1"}
    assert [each["value"][1] for each in scraped(prometheus, "anytime_exit_depth_count")] == ["1"]


def test_prometheus_takes_the_whole_page(service, prometheus):
    """The target is up, and no sample of the page was refused."""
    assert [each["value"][1] for each in scraped(prometheus, 'up{job="anytime"} == 1')] == ["1"]
    stop = scraped(prometheus, "anytime_stops_total")
    assert {each["metric"]["reason"] for each in stop} >= {"max_exit"}


def test_the_page_passes_the_linter(service):
    """promtool finds no bad name, missing help or wrong type in /metrics."""
    page = httpx.get(f"{service.url}/metrics").raise_for_status().text
    result = subprocess.run(
        [need("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
