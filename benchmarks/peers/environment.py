"""Where the peers are installed: a virtual environment of the benchmark's own, made and filled when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".bench" / "venv"
PINS = Path(__file__).parent / "requirements.txt"


def program(name: str) -> str:
    """The path of one of the environment's programs."""
    return str(FOLDER / "bin" / name)


def is_installed(packages: Sequence[str]) -> bool:
    """Installs packages at their pinned versions; False where that cannot be done, and then it is said why."""
    try:
        if not Path(program("python")).exists():
            subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True, capture_output=True, text=True)
        install = [program("python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, "-c", PINS, *packages], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"not installed: {', '.join(packages)}: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
        return False
    return True
