"""What the documents say of commands and settings is what the program says."""

from __future__ import annotations

import subprocess
import sys

from anytime.cli.main import COMMANDS
from anytime.service.settings import Settings
from tests.source_tree import ROOT

DOCS = ROOT / "docs"


def test_documents_are_up_to_date():
    """Generated parts are as they would be generated: `python docs/generate.py --write`."""
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_command_is_documented():
    """docs/commands.md has the help of every sub-command that there is."""
    page = (DOCS / "commands.md").read_text()
    assert [
        name for name in COMMANDS if f"<!-- help: {name} -->\n```text\n$ anytime {name} --help\nusage: " not in page
    ] == []


def test_every_setting_is_documented():
    """docs/settings.md has a line for every setting."""
    page = (DOCS / "settings.md").read_text()
    assert [name for name in Settings.model_fields if f"| `{name}` |" not in page] == []
