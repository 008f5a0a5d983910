"""What holds for every test: in CI (``CI=true``) a skip for want of a program that could have been installed fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.programs import MISSING, could_be_installed, managers_at_hand

# Before anything imports ONNX Runtime: a test must not call home, whatever tests/test_telemetry.py finds.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Before torch: threads that wait for each other spin, which starves whatever else a test runs on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

MISSED = pytest.StashKey[list[str]]()


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MISSED] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Collects the skips which an installed program would have spared."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        program = reason.removeprefix(MISSING).partition(" ")[0]
        if reason.startswith(MISSING) and could_be_installed(program, managers_at_hand()):
            item.config.stash[MISSED].append(f"{item.nodeid}: {program}")
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if is_ci() and session.config.stash[MISSED] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if is_ci() and config.stash[MISSED]:
        terminalreporter.section("skipped in CI for want of a program that could have been installed", red=True)
        for line in config.stash[MISSED]:
            terminalreporter.line(line, red=True)


@pytest.fixture(scope="session")
def stress_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store that holds the six stress bundles, version 1 each."""
    from anytime.model_store import Store
    from tests.bundles import BUNDLES

    folder = tmp_path_factory.mktemp("stress")
    for module in BUNDLES:
        Store(folder / "store").publish(module.build(folder / module.NAME).folder)
    return folder / "store"


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``anytime demo`` makes: a store, ``models``, two ONNX models, a run, pictures. Tests leave it as it is."""
    from anytime.cli.main import main

    folder = tmp_path_factory.mktemp("demo") / ".demo"
    assert main(["demo", "--folder", str(folder), "--no-serve"]) == 0
    return folder
