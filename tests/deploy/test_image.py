"""The image, built for real and run for real: minutes, root and buildah, so only if asked for.

    ANYTIME_TEST_IMAGE=1 python -m pytest tests/deploy/test_image.py

Run with chroot isolation, which shares the network: the port is therefore a free one, given after the image's own arguments.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from anytime.model_store import Store
from tests.deploy import dawdler
from tests.served import background, free_port, wait_until_answered

ROOT = Path(__file__).parents[2]
TEMPORARY = "/tmp"  # noqa: S108 - the image's own, the only place that it may write to
TAG = "localhost/anytime-serving:test"


def why_not() -> str:
    """What keeps the image from being tested here; empty if nothing does."""
    if os.environ.get("ANYTIME_TEST_IMAGE") != "1":
        return "builds a whole image: asked for by ANYTIME_TEST_IMAGE=1"
    if os.geteuid() != 0:
        return "buildah's chroot isolation is used as root"
    missing = [program for program in ("buildah", "unshare") if shutil.which(program) is None]
    return f"not here: {', '.join(missing)}" if missing else ""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "nothing"),
]


def buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def image():
    """Its configuration, after ``deploy/build_image.sh`` made it."""
    env = {**os.environ, "ENGINE": "buildah"}
    subprocess.run([str(ROOT / "deploy" / "build_image.sh"), TAG], env=env, check=True)
    yield json.loads(buildah("inspect", "--type", "image", TAG))["Docker"]["config"]
    buildah("rmi", TAG)


@pytest.fixture
def container(image):
    name = buildah("from", "--pull-never", TAG)
    yield name
    buildah("rm", name)


@pytest.fixture
def store(tmp_path):
    """A store that anybody may read, as a mounted one has to be: pytest's own folders are root's alone."""
    Store(tmp_path / "models").publish(dawdler.build(tmp_path / "bundle").folder)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return tmp_path / "models"


def ask(url: str) -> dict:
    body = {"inputs": [[0.0, 1.0]], "policy": {"max_exit": 1}}
    return httpx.post(f"{url}/v1/models/{dawdler.NAME}/predict", json=body).raise_for_status().json()


def test_runs_as_it_says(image, container, store, tmp_path):
    """The entry point serves a mounted store as the image's user, and its own health check finds it well."""
    port, log = free_port(), tmp_path / "log"
    run = ["buildah", "run", "--isolation", "chroot"]
    serve = [*run, "--env", "ANYTIME_ALLOW_ANONYMOUS=true", "--volume", f"{store}:/models:ro", container, "--",
             *image["Entrypoint"], "--port", str(port)]  # fmt: skip
    check = [word.replace(":8000", f":{port}") for word in image["Healthcheck"]["Test"][1:]]
    with log.open("wb") as output, background(serve, output) as process:
        wait_until_answered(f"http://127.0.0.1:{port}/readyz", process, log)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert ask(f"http://127.0.0.1:{port}")["rows"][0]["stop_reason"] == "max_exit"
        assert subprocess.run([*run, container, "--", *check], check=False).returncode == 0
        user = subprocess.run([*run, container, "--", "id", "-u"], capture_output=True, text=True, check=True).stdout
        assert user.strip() == "10001"
    assert subprocess.run([*run, container, "--", *check], capture_output=True, check=False).returncode != 0


def test_asks_for_keys(image, container, store):
    """Without keys and without a word that none are wanted, it does not start, and says what to do."""
    command = ["buildah", "run", "--isolation", "chroot", "--volume", f"{store}:/models:ro", container, "--"]
    result = subprocess.run([*command, *image["Entrypoint"]], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "allow_anonymous" in result.stderr


def test_needs_nothing_that_can_be_written(image, container, store, tmp_path):
    """On a read-only file system and with only /tmp to write to, it serves all the same."""
    port, log, root = free_port(), tmp_path / "log", shlex.quote(buildah("mount", container))
    words = [f"ANYTIME_ALLOW_ANONYMOUS=true ANYTIME_PORT={port}", *map(shlex.quote, image["Env"])]
    entry = shlex.join([*image["Entrypoint"], "--port", str(port)])
    script = f"""
        set -e
        mount --bind {root} {root}
        mount --bind {shlex.quote(str(store))} {root}/models
        mount -o remount,bind,ro {root}/models
        mount -t tmpfs -o size=64m,mode=1777 tmpfs {root}{TEMPORARY}
        mount -t proc proc {root}/proc
        mount -o remount,bind,ro {root}
        ! touch {root}/venv/written 2>/dev/null
        exec chroot --userspec={image["User"]} {root} /usr/bin/env -i {" ".join(words)} {entry}
    """
    with log.open("wb") as output, background(["unshare", "--mount", "sh", "-c", script], output) as process:
        wait_until_answered(f"http://127.0.0.1:{port}/readyz", process, log)
        assert ask(f"http://127.0.0.1:{port}")["rows"][0]["exit"] == 1


def test_holds_no_training_library(container):
    """No torch, no scikit-learn, no pip: what is not there cannot be attacked, and need not be shipped."""
    names = ("torch", "sklearn", "skl2onnx", "scipy", "pip")
    code = f"from importlib.util import find_spec; print([name for name in {names} if find_spec(name)])"
    command = ["buildah", "run", "--isolation", "chroot", container, "--", "python", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
