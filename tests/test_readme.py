"""The README is run. Fenced blocks, in the order of the page:

- ```bash that calls `make`: every target named exists in the Makefile.
- any other ```bash, and ```python: run, in a folder that looks like the repository after `make demo`, with the demo's
  service up; 127.0.0.1:8000 stands for its address, and `.venv/bin` for this Python's programs.
- ```text and ```json show; they are not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.served import background, free_port, wait_until_answered
from tests.source_tree import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``line``: where it begins, from 1."""

    line: int
    language: str
    code: str

    @property
    def calls_make(self) -> bool:
        return self.language == "bash" and self.code.lstrip().startswith("make")


def blocks() -> list[Block]:
    text = README.read_text()
    return [Block(text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in BLOCK.finditer(text)]


def runnable() -> list[Block]:
    return [block for block in blocks() if block.language in {"bash", "python"} and not block.calls_make]


@pytest.fixture(scope="module")
def demo(tmp_path_factory, demo_folder):
    """A folder as `make demo` leaves it, and the address of its service."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(demo_folder, folder / ".demo")
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "anytime").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m anytime.cli.main "$@"\n')
    (programs / "anytime").chmod(0o755)
    port, log = free_port(), folder / "log"
    command = ["sh", "-c", f'cd "{folder}" && exec .venv/bin/anytime demo --port {port}']
    with log.open("wb") as output, background(command, output, surroundings()) as process:
        wait_until_answered(f"http://127.0.0.1:{port}/readyz", process, log)
        yield folder, f"127.0.0.1:{port}"


def surroundings() -> dict[str, str]:
    """This repository's package, wherever the command is run."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run(block: Block, folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    code = block.code.replace(ADDRESS, address)
    command = ["bash", "-euo", "pipefail", "-c", code] if block.language == "bash" else [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=surroundings(), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("block", runnable(), ids=lambda block: f"line-{block.line}-{block.language}")
def test_block_runs(block, demo):
    """What the page tells a reader to run works, as it stands, and says no error."""
    result = run(block, *demo)
    assert result.returncode == 0, f"line {block.line}:\n{result.stdout}\n{result.stderr}"
    assert '"error"' not in result.stdout


def test_make_targets_exist():
    """Every `make TARGET` of the page is a target of the Makefile, and the page tells of the two that matter."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)", "\n".join(b.code for b in blocks() if b.calls_make), re.MULTILINE))
    assert named <= targets
    assert named >= {"demo", "test"}


def test_every_block_has_a_language():
    """A fence without a language would be neither run nor shown on purpose."""
    assert README.read_text().count("```") == 2 * len(blocks())
    assert {block.language for block in blocks()} <= {"bash", "python", "text", "json"}


def test_paths_exist():
    """Every file or folder of ours that the page names is there."""
    named = set(re.findall(r"\b((?:anytime|benchmarks|deploy|docs|tests)/[\w./-]*)", README.read_text()))
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_modules_named_alone_exist():
    """A module that the life of a request names without its folder is the service's or the policy's."""
    named = set(re.findall(r"`((?:engine/)?\w+\.py)`", README.read_text()))
    folders = [ROOT / "anytime" / "service", ROOT / "anytime" / "service" / "engine", ROOT / "anytime" / "policy"]
    assert {name for name in named if not any((folder / name).exists() for folder in folders)} == set()
