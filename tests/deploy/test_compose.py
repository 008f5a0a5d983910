"""docker-compose.yml: valid by the official schema, and as closed as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"


def check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    """The Compose Specification's JSON schema, as check-jsonschema carries it: nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


def test_valid_by_the_official_schema():
    """Every key is one that the Compose Specification knows, with a value of its kind."""
    result = check_schema(COMPOSE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_schema_refuses(tmp_path):
    """It does look: a misspelt key is refused."""
    bad = tmp_path / "docker-compose.yml"
    bad.write_text(COMPOSE.read_text().replace("read_only:", "readonly:"))
    assert check_schema(bad).returncode != 0


@pytest.mark.parametrize("name", ["service", "prometheus"])
def test_closed(services, name):
    """Nothing can be written but where it must, no capability is kept, and nobody but this machine gets in."""
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_store_is_read_only(services):
    """The service reads its bundles and cannot change them."""
    (volume,) = services["service"]["volumes"]
    assert (volume["target"], volume["read_only"]) == ("/models", True)


def test_every_variable_is_a_setting(services):
    """What compose sets, the service knows: a misspelt variable would stop its start."""
    from anytime.service.settings import Settings, variable

    known = {variable(name) for name in Settings.model_fields}
    assert set(services["service"]["environment"]) <= known


def test_prometheus_gets_the_file_that_is_tested(services):
    """The configuration mounted is deploy/prometheus.yml, and its target is the service by its name here."""
    sources = [volume["source"] for volume in services["prometheus"]["volumes"]]
    assert "./deploy/prometheus.yml" in sources
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    assert scraped[0]["static_configs"] == [{"targets": ["service:8000"]}]
