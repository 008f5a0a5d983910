"""What is installed: pinned to the last package, explained, and small where it serves."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.source_tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)$")


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(found[1]): found[2] for line in lines if (found := PIN.match(line))}


def needed(*requirements: str) -> set[str]:
    """Everything that these bring here, transitively; what another system would need is not installed, and not followed."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == canonicalize_name(PROJECT["name"]):
            waiting += [
                Requirement(text) for extra in requirement.extras for text in PROJECT["optional-dependencies"][extra]
            ]
            continue
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            inner = Requirement(text)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return found


def test_every_line_is_a_pin():
    """constraints.txt names exact versions: no range, no address, no file."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not PIN.match(line)] == []


def test_everything_is_pinned():
    """No package of the suite, not even one that another brings, is left to the day's newest version."""
    everything = needed(*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"])
    assert everything - pins().keys() == set()


def test_pins_satisfy_what_is_asked_for():
    """Each direct dependency's range admits the version that is tested."""
    extras = PROJECT["optional-dependencies"].values()
    asked = [Requirement(text) for text in [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]]
    direct = {canonicalize_name(each.name): each.specifier for each in asked if each.name != PROJECT["name"]}
    assert [name for name, specifier in direct.items() if pins()[name] not in specifier] == []


@pytest.mark.parametrize("table", ["dependencies", "train", "test"])
def test_every_dependency_says_why(table):
    """A dependency stands with the reason for which it was chosen."""
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.search(rf"^{table} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed
    assert [line.strip() for line in listed[1].splitlines() if "#" not in line and PROJECT["name"] not in line] == []
