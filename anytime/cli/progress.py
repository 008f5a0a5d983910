"""What long work shows: each step a line, and a bar while it trains; on standard error, so that output stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from anytime.training.loop import Progress
    from anytime.training.loop.checkpoint import Position


@dataclass(frozen=True)
class Shown:
    """Two ways to say how far work is."""

    say: Callable[[str], None]
    progress: Progress


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[Shown]:
    """Lines, and a bar per phase where there is a terminal; nothing where ``quiet``."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        known: dict[str, TaskID] = {}

        def progress(position: Position, share: float) -> None:
            if position.phase not in known:
                known[position.phase] = bars.add_task(position.phase, total=1.0, loss="")
            loss = position.loss / max(position.rows, 1)
            bars.update(known[position.phase], completed=share, loss=f"loss {loss:.3f}")

        yield Shown(lambda text: console.print(text, highlight=False), progress)
