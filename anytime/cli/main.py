"""The entry point ``anytime``: a table of sub-commands, each a module that is imported when it is asked for.

A sub-command's module has ``NAME``, ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``, and imports what is heavy
inside these two, so that ``anytime --help`` and ``anytime serve`` load no more than they need.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

COMMANDS = (
    "models", "train", "attach", "cascade", "evaluate", "calibrate", "plan", "replay", "doctor", "export",
    "serve", "predict", "demo",
)  # fmt: skip

FAULT = 2
"""The exit status of a command that could not do what it was asked."""
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, commands: Sequence[str] = COMMANDS) -> int:
    """Run one sub-command and return the status to exit with. What a user can mend is one line, never a trace."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(arguments, commands).parse_args(arguments)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough: `anytime models list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except Exception as error:
        if not _is_for_people(error):
            raise
        print(f"anytime: {error}", file=sys.stderr)
        return FAULT


def _parser(arguments: Sequence[str], commands: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of what ``arguments`` ask for: of one sub-command in full, of the others at most their line of help."""
    parser = argparse.ArgumentParser(
        prog="anytime", description="Serve neural networks that answer early and keep refining."
    )
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="print the version and exit")
    actions = parser.add_subparsers(metavar="COMMAND", required=True)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name in [name for name in commands if name == asked] or commands:
        module = _load(name)
        command = actions.add_parser(name, help=module.HELP, description=_sentence(module.HELP))
        command.set_defaults(run=module.run)
        if name == asked:
            module.add_arguments(command)
    return parser


def _load(name: str) -> ModuleType:
    module = importlib.import_module(f"anytime.cli.{name}")
    assert name == module.NAME, "a sub-command's module is called what it is"
    return module


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _is_for_people(error: Exception) -> bool:
    """Our own errors and the system's say what was wrong; anything else is a defect, and its trace is wanted."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "anytime"


class _Version(argparse.Action):
    """Looks the version up only if asked: the search for it takes longer than the rest of the start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"anytime {version('anytime-serving')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
