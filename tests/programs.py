"""The system programs that tests run for real: where they are, and which package brings them.

Knows nothing of how packages are installed: `deploy/system_programs.sh` does that with what this prints.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass

SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # where daemons lie, and a plain user's PATH does not look
MISSING = "missing program: "  # a skip that starts like this fails the suite in CI, see tests/conftest.py


@dataclass(frozen=True, slots=True)
class Program:
    """One program: the names it goes by, and its package per package manager ("" where there is none)."""

    names: tuple[str, ...]
    apt: str
    brew: str


PROGRAMS = {
    "nginx": Program(("nginx",), apt="nginx", brew="nginx"),
    "prometheus": Program(("prometheus",), apt="prometheus", brew="prometheus"),
    "promtool": Program(("promtool",), apt="prometheus", brew="prometheus"),
    "redis-server": Program(("redis-server",), apt="redis-server", brew="redis"),
    "chromium": Program(("chromium", "chromium-browser", "google-chrome"), apt="chromium", brew=""),
    "wrk": Program(("wrk",), apt="wrk", brew="wrk"),
}


def find(program: str) -> str | None:
    """Path of ``program`` on PATH or among the daemons, or None."""
    for name in PROGRAMS[program].names:
        path = shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)
        if path is not None:
            return path
    return None


def need(program: str) -> str:
    """Path of ``program``; skips the test, saying what to install, if it is not there."""
    path = find(program)
    if path is None:
        import pytest

        pytest.skip(f"{MISSING}{program} ({how_to_install(program)})")
    return path


def how_to_install(program: str) -> str:
    wanted = PROGRAMS[program]
    ways = [f"apt-get install {wanted.apt}" if wanted.apt else "", f"brew install {wanted.brew}" if wanted.brew else ""]
    return " or ".join(way for way in ways if way)


def could_be_installed(program: str, managers: frozenset[str]) -> bool:
    """Does one of the package managers at hand ("apt", "brew") have it?"""
    wanted = PROGRAMS[program]
    return bool((wanted.apt and "apt" in managers) or (wanted.brew and "brew" in managers))


def managers_at_hand() -> frozenset[str]:
    commands = {"apt": "apt-get", "brew": "brew"}
    return frozenset(name for name, command in commands.items() if shutil.which(command))


def missing_packages(manager: str) -> list[str]:
    """Packages of ``manager`` ("apt" or "brew") that would bring every program not found."""
    wanted = (getattr(PROGRAMS[program], manager) for program in PROGRAMS if find(program) is None)
    return sorted({package for package in wanted if package})


if __name__ == "__main__":
    print(" ".join(missing_packages(sys.argv[1])))
