"""Nothing calls home. ONNX Runtime's official builds send telemetry unless told otherwise before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from anytime.model_store import Store
from tests.bundles import ztw
from tests.served import serve


@pytest.fixture
def surroundings(tmp_path):
    """A home where nobody has said anything of telemetry; in CI the runtime would be silent by itself."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if key not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    return home, {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


def left_in(home):
    """What the runtime's telemetry keeps for itself: an id of the device, and a store of what is still to be sent."""
    return [path for path in home.rglob("*") if "onnxruntime" in path.name or path.name == "deviceid"]


def test_it_would_be_seen(surroundings):
    """The bare runtime leaves its mark where it has telemetry at all; else there is nothing to be seen anywhere."""
    home, env = surroundings
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=env, check=True)
    if not left_in(home):
        pytest.skip("this build of ONNX Runtime has no telemetry")
    assert any(path.name == "deviceid" for path in left_in(home))


def test_serving_calls_nobody(surroundings, tmp_path, monkeypatch):
    """The service loads and warms a bundle, and the runtime's telemetry has not even been set up."""
    home, env = surroundings
    for name in ("CI", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    Store(tmp_path / "models").publish(ztw.build(tmp_path / "bundle").folder)
    with serve(tmp_path / "models", tmp_path / "log", env=env):
        pass
    assert left_in(home) == []


def test_training_calls_nobody(surroundings):
    """The training side looks at models with the same runtime, and as quietly."""
    home, env = surroundings
    code = "import sys; from anytime.cli.main import main; main(['demo', '--no-serve', '--folder', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", code, str(home / "demo")], env=env, check=True, capture_output=True)
    assert left_in(home) == []
