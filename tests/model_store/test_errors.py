"""Tests of the tree of errors."""

import inspect
import re

from anytime.model_store import errors


def test_drawn():
    """The tree in the docstring is the tree in the code, with every error's code."""
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass)]
    drawn = dict(re.findall(r"\+-- (\w+) +(\w+)", errors.__doc__))
    assert drawn == {one.__name__: one.code for one in classes if one is not errors.StoreError}


def test_codes():
    """Every error has a code of its own."""
    codes = [one.code for _, one in inspect.getmembers(errors, inspect.isclass)]
    assert len(set(codes)) == len(codes)
