"""``anytime serve``: the service, until it is told to stop."""

from __future__ import annotations

import argparse
import os

NAME = "serve"
HELP = "serve the bundles of a store over HTTP"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting, and ``--config``."""
    from anytime.service.configuration import add_flags

    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM. Raises ``SettingsError`` before anything is opened."""
    from anytime.service.configuration import load_settings

    settings = load_settings(args, os.environ)
    if settings.processes > 1:
        from anytime.service.processes.supervisor import supervise

        return supervise(settings)
    from anytime.service.server import serve

    return serve(settings)
