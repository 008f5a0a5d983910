"""Generates what the documents say of the program itself, so that they cannot say anything else.

python docs/generate.py --check | --write

<!-- benchmarks: NAME --> ... <!-- /benchmarks -->    the table of benchmarks/results/NAME.json
<!-- help: serve -->      ... <!-- /help -->          what `anytime serve --help` prints
<!-- settings -->         ... <!-- /settings -->      the service's settings, with flag, variable and default
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from anytime.cli.main import main
from anytime.service.settings import settings_table
from benchmarks import tables


def command_help(command: str) -> str:
    """``anytime COMMAND --help`` as a terminal of 100 columns without colours shows it, fenced."""
    os.environ.update(COLUMNS="100", NO_COLOR="1", PYTHON_COLORS="0")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    return f"```text\n$ anytime {f'{command} ' if command else ''}--help\n{printed.getvalue().rstrip()}\n```"


def settings(_: str) -> str:
    return settings_table()


KINDS = {"benchmarks": tables.render, "help": command_help, "settings": settings}

if __name__ == "__main__":
    sys.exit(tables.command_line(KINDS, "python docs/generate.py --write"))
