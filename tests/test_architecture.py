"""The shape of the house: which part may import which, and what must not be loaded behind the service."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.source_tree import Module, imports, modules, strongly_connected

FLOORS = {"anytime.model_store": 0, "anytime.policy": 1, "anytime.service": 2, "anytime.training": 2, "anytime.cli": 3}
RUNNER = "anytime.service.engine.runner"

# What a part may import from outside, beside the standard library. None: anything.
OUTSIDE = {
    "anytime.model_store": {"numpy", "pydantic", "pydantic_core", "PIL", "onnx", "google.protobuf"},
    "anytime.policy": {"numpy", "pydantic", "pydantic_core"},
}


def part(name: str) -> str:
    return ".".join(name.split(".")[:2])


def begins(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def edges(top: str = "anytime") -> list[tuple[Module, str]]:
    return [(module, target) for module in modules(top).values() for target in sorted(imports(module))]


def test_every_module_lives_in_a_part():
    """There is no sixth part, and nothing but the package itself beside the five."""
    parts = {part(name) for name in modules("anytime")} - {"anytime"}
    assert parts == set(FLOORS)


def test_imports_point_down():
    """cli -> service, training -> policy -> model_store; service and training never meet."""
    wrong = [
        f"{module.name} imports {target}"
        for module, target in edges()
        if begins(target, "anytime")
        and part(module.name) in FLOORS
        and part(target) != part(module.name)
        and FLOORS.get(part(target), 9) >= FLOORS[part(module.name)]
    ]
    assert wrong == []


def test_nothing_imports_the_tests_or_the_benchmarks():
    """What is installed does not lean on what is not."""
    assert [
        f"{module.name} imports {target}" for module, target in edges() if begins(target, "tests", "benchmarks")
    ] == []


def test_no_cycles():
    """No two modules import each other, directly or on a detour, for types or lazily."""
    graph = {
        name: {target for target in imports(module) if target in modules("anytime")}
        for name, module in modules("anytime").items()
    }
    assert strongly_connected(graph) == []


def test_cycles_are_seen():
    """The finder of cycles finds a pair, a ring and a self-reference, and nothing in a diamond."""
    graph = {
        "a": {"b"},
        "b": {"a"},
        "c": {"d"},
        "d": {"e"},
        "e": {"c"},
        "f": {"f"},
        "g": {"h", "i"},
        "h": {"j"},
        "i": {"j"},
        "j": set(),
    }
    assert strongly_connected(graph) == [["a", "b"], ["c", "d", "e"], ["f"]]


@pytest.mark.parametrize("name", sorted(OUTSIDE))
def test_the_lower_floors_need_little(name):
    """The bundle format and the policies can be used with a handful of libraries."""
    allowed = OUTSIDE[name]
    foreign = {
        f"{module.name} imports {target}"
        for module, target in edges()
        if part(module.name) == name
        and not begins(target, "anytime", *allowed)
        and target.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


def test_only_the_runner_knows_the_runtime():
    """Within the service onnxruntime is the runner's, and above the runner nothing knows ONNX."""
    wrong = [
        f"{module.name} imports {target}"
        for module, target in edges()
        if part(module.name) == "anytime.service"
        and not module.name.startswith(RUNNER)
        and begins(target, "onnxruntime", "onnx")
    ]
    assert wrong == []


def test_below_the_routes_nothing_knows_http():
    """The engine would serve another protocol as it is."""
    web = ("starlette", "uvicorn", "httptools", "httpx", "multipart", "python_multipart", "anytime.service.routes")
    wrong = [
        f"{module.name} imports {target}"
        for module, target in edges()
        if begins(module.name, "anytime.service.engine") and begins(target, *web)
    ]
    assert wrong == []


def test_no_training_library_in_the_service():
    """Not even a lazy import: torch and scikit-learn are the training side's."""
    wrong = [
        f"{module.name} imports {target}"
        for module, target in edges()
        if part(module.name) not in {"anytime.training", "anytime.cli"}
        and begins(target, "torch", "sklearn", "skl2onnx")
    ]
    assert wrong == []


def loaded_by(*arguments: str) -> set[str]:
    """Every module that ``python <arguments>`` imports, by Python's own account."""
    command = [sys.executable, "-X", "importtime", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("module", ["anytime.service.app", "anytime.service.server"])
def test_the_service_loads_nothing_of_training(module):
    """In a process of its own the service brings no torch, no scikit-learn and no module of ours from the other side."""
    loaded = loaded_by("-c", f"import {module}")
    assert module in loaded
    assert {
        name for name in loaded if begins(name, "torch", "sklearn", "skl2onnx", "scipy", "anytime.training")
    } == set()


def test_sub_commands_load_lazily():
    """``anytime --help`` answers without the runtime, the service or the training side."""
    loaded = loaded_by("-m", "anytime.cli.main", "--help")
    heavy = ("onnxruntime", "onnx", "uvicorn", "starlette", "sklearn", "torch", "anytime.service", "anytime.training")
    assert {name for name in loaded if begins(name, *heavy)} == set()
