"""What lies in the folder of a run, and for what work it is: one folder, one piece of work. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anytime.training.errors import RunFailed

RUN, RECIPE = "run.json", "recipe.json"
"""What exits are trained for, and, where there is one, the recipe."""
BUNDLE, TRACES, FEATURES = "bundle", "traces", "features"
ROWS = "rows.npz"
"""Some test rows, by the bundle's names of the inputs."""


def claim(path: Path, about: Mapping[str, Any]) -> None:
    """Write down in a run's folder what it is for, or see that it is for that. Raises ``RunFailed`` where it is not."""
    said = json.loads(json.dumps(about))
    if path.exists():
        known = read_claim(path)
        differs = [name for name in sorted(known.keys() | said.keys()) if known.get(name) != said.get(name)]
        if differs:
            raise RunFailed(
                f"{path.parent} holds a run that differs in {', '.join(differs)}; give another folder, or remove that one"
            )
        return
    temp = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temp.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        temp.replace(path)
    except OSError as error:
        raise RunFailed(
            f"{path} cannot be written: {error.strerror or error}; make room, or give another folder"
        ) from error
    finally:
        temp.unlink(missing_ok=True)


def read_claim(path: Path) -> dict[str, Any]:
    """What ``claim`` wrote. Raises ``RunFailed``."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFailed(
            f"{path.parent} is no run: it has no {path.name}; give a folder that attach or train wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise RunFailed(f"{path} cannot be read: {error}; give another folder, or remove that one") from error
    if not isinstance(known, dict):
        raise RunFailed(f"{path} holds {known!r}; give another folder, or remove that one")
    return known
