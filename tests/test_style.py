"""The house style, as far as a program can hold it: sizes, names, and tests that prove something."""

from __future__ import annotations

import ast
import re

import pytest

from tests.source_tree import Module, functions, modules

MODULE_LINES = 400
FUNCTION_LINES = 60
BANNED_MODULES = re.compile(r"(utils?|helpers?|common|misc|base_.*)$")
BANNED_CLASSES = re.compile(r".*(Manager|Handler|Processor|Helper|Utils?)$")
PROVES = re.compile(
    r"(assert|expect|check|must|refuse|prove)"
)  # a test's own function that asserts is called like this

every_module = pytest.mark.parametrize("module", modules().values(), ids=modules())
every_test_module = pytest.mark.parametrize(
    "module", [m for m in modules("tests").values() if m.path.name.startswith("test_")], ids=lambda m: m.name
)


def classes(module: Module) -> list[ast.ClassDef]:
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]


def cases_of(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [function for function in functions(module) if function.name.startswith("test_")]


def proves_something(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """An ``assert``, ``raises``, ``warns`` or ``suppress`` (only that may be raised), or a function named after it."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in {"raises", "warns", "suppress"} or PROVES.match(name):
                return True
    return False


@every_module
def test_modules_are_short(module):
    """At 400 lines there is a second noun."""
    assert len(module.text.splitlines()) <= MODULE_LINES


@every_module
def test_functions_are_short(module):
    """No function is longer than a screen."""
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions(module)}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


@every_module
def test_names_are_nouns(module):
    """A module or class that is named after nothing holds anything."""
    assert not BANNED_MODULES.match(module.name.rpartition(".")[2])
    assert [cls.name for cls in classes(module) if BANNED_CLASSES.match(cls.name)] == []


@every_module
def test_modules_say_what_they_own(module):
    """Every module that holds code begins with a docstring; a test module may leave it to the one that it mirrors."""
    assert ast.get_docstring(module.tree) or not module.tree.body or module.path.name.startswith("test_")


@pytest.mark.parametrize("module", [m for m in modules("anytime").values() if m.path.name == "__init__.py"], ids=repr)
def test_packages_hold_public_names_only(module):
    """An ``__init__.py`` imports and lists names; it defines nothing."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.With)
    assert [node.lineno for node in module.tree.body if isinstance(node, definitions)] == []


@every_test_module
def test_tests_prove_something(module):
    """A test without an assertion proves that the code did not raise, which is seldom the point."""
    assert [test.name for test in cases_of(module) if not proves_something(test)] == []


@every_test_module
def test_tests_begin_with_what_they_prove(module):
    """The first line of a test is the sentence it proves."""
    assert [test.name for test in cases_of(module) if not ast.get_docstring(test)] == []


@every_test_module
def test_our_own_code_is_never_patched(module):
    """Tests hand in doubles; they do not reach into the package to swap its parts."""
    patched = [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("monkeypatch.setattr", "mock.patch", "mock.patch.object"))
        and node.args
        and "anytime" in ast.unparse(node.args[0])
    ]
    assert patched == []


def test_an_empty_test_is_seen():
    """The finder of assertions tells a test that proves something from one that does not."""
    bodies = ["f()", "with pytest.raises(E):\n        f()", "assert f()", "assert_same(f(), g())"]
    cases = [case for body in bodies for case in ast.parse(f"def test_it():\n    {body}").body]
    found = [proves_something(case) for case in cases if isinstance(case, ast.FunctionDef)]
    assert found == [False, True, True, True]
