"""Skips for want of a program: told with what to install, and a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import PROGRAMS, Program, could_be_installed, find, missing_packages

ROOT = Path(__file__).parents[1]

SUITE = """
import pytest
from tests.programs import PROGRAMS, Program, need
PROGRAMS["no-such-program"] = Program(("no-such-program",), apt={apt!r}, brew={apt!r})

def test_that_needs_it():
    need("no-such-program")

@pytest.mark.skip(reason="for a reason of its own")
def test_that_is_skipped():
    pass
"""


def run_suite(folder: Path, package: str, ci: str) -> subprocess.CompletedProcess[str]:
    """A suite with one missing program, under this suite's own conftest."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text(SUITE.format(apt=package))
    env = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def package_manager(tmp_path, monkeypatch):
    """A machine on which apt-get is at hand, whatever machine this is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apt-get").write_text("#!/bin/sh\n")
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_skip_that_could_have_been_spared_fails_in_ci(tmp_path, package_manager):
    """In CI a missing program that a package would bring fails the session, and the summary names test and program."""
    suite = tmp_path / "suite"
    suite.mkdir()
    result = run_suite(suite, package="some-package", ci="true")
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert "test_that_needs_it: no-such-program" in result.stdout
    assert "test_that_is_skipped:" not in result.stdout


def test_a_skip_is_no_failure_on_a_desk(tmp_path, package_manager):
    """Outside CI the same skip is only told, with what to install."""
    suite = tmp_path / "suite"
    suite.mkdir()
    result = run_suite(suite, package="some-package", ci="")
    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "missing program: no-such-program (apt-get install some-package" in result.stdout


def test_a_program_that_nobody_packages_may_be_missing_in_ci(tmp_path, package_manager):
    """What no package manager at hand offers cannot be asked of a build server."""
    suite = tmp_path / "suite"
    suite.mkdir()
    assert run_suite(suite, package="", ci="true").returncode == pytest.ExitCode.OK


def test_packages_are_those_of_missing_programs(monkeypatch):
    """Only what is not found is to be installed, each package once."""
    monkeypatch.setattr("tests.programs.PROGRAMS", {
        "sh": Program(("sh",), apt="dash", brew=""),
        "no-such": Program(("no-such",), apt="some-package", brew=""),
        "no-such-either": Program(("no-such-either",), apt="some-package", brew=""),
    })  # fmt: skip
    assert missing_packages("apt") == ["some-package"]
    assert missing_packages("brew") == []


def test_only_a_manager_at_hand_counts():
    """chromium has a Debian package and no brew formula."""
    assert could_be_installed("chromium", frozenset({"apt"}))
    assert not could_be_installed("chromium", frozenset({"brew"}))
    assert not could_be_installed("wrk", frozenset())


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_every_program_has_a_package(program):
    """A program without any package would be a skip that nobody can mend."""
    assert PROGRAMS[program].apt
    found = find(program)
    assert found is None or Path(found).is_file()
