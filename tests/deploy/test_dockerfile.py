"""The Dockerfile: the linter finds nothing, and what the image promises is written there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


def hadolint(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The linter from its wheel: its binary lies beside this Python."""
    command = [str(Path(sys.executable).parent / "hadolint"), "--failure-threshold", "style", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def instructions() -> list[str]:
    """Without comments, with continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines() if line]


def final_stage() -> list[str]:
    stages = [number for number, line in enumerate(instructions()) if line.startswith("FROM")]
    return instructions()[stages[-1] :]


def test_the_linter_finds_nothing():
    """hadolint has no finding of any severity."""
    result = hadolint(str(DOCKERFILE))
    assert (result.returncode, result.stdout) == (0, "")


def test_the_linter_would_find_something(tmp_path):
    """It does run: a bad file has findings."""
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN apt-get install python3\n")
    assert hadolint(str(bad)).returncode != 0


def test_runs_as_nobody_in_particular():
    """The final stage drops root by number, which Kubernetes can check, and runs nothing after."""
    stage = final_stage()
    assert "USER 10001:10001" in stage
    assert not any(line.startswith("RUN") for line in stage)


def test_no_training_library_gets_in():
    """Only the base dependencies are installed: no extra is asked for."""
    installs = [line for line in instructions() if "pip install" in line]
    assert installs
    assert not any("[" in line.split("pip install", 1)[1] for line in installs)


def test_versions_are_the_tested_ones():
    """What is fetched is fetched under the constraints; what is not under them fetches nothing."""
    installs = [step for line in instructions() for step in line.split("&&") if "pip install" in step]
    assert all("-c constraints.txt" in step or "--no-deps" in step for step in installs)


@pytest.mark.parametrize("name", ["HEALTHCHECK", "EXPOSE 8000", "STOPSIGNAL SIGTERM", "WORKDIR /models"])
def test_says_how_it_is_run(name):
    """Health, port, signal and the store's place are the image's own knowledge."""
    assert any(line.startswith(name) for line in final_stage())


def test_only_the_package_is_sent_to_the_builder():
    """.dockerignore lets in what COPY names, and nothing else: no .git, no .venv, no bundle."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word
        for line in instructions()
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert lines[1] == "*"
    assert allowed == copied
