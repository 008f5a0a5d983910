"""Rows that are there more than once."""

import pytest

from anytime.training.data.repeats import Repeats, count_repeats


@pytest.mark.parametrize(("parts", "rows", "held_out", "says"), [
    (["abc", "de", "f"], 0, 0, ""),
    (["aab", "c", "d"], 1, 0, "1 row is a repeat, equal rows in one part"),
    (["aab", "ccc", "d"], 3, 0, "3 rows are repeats, equal rows in one part"),
    (["aab", "bc", "ca"], 4, 3, "4 rows are repeats, 3 of them held out although an earlier part has them"),
])  # fmt: skip
def test_repeats_are_counted(parts, rows, held_out, says):
    """Every copy after the first, and of these the held-out ones that an earlier part has."""
    found = count_repeats([[one.encode() for one in part] for part in parts])
    assert (found, str(found)) == (Repeats(rows, held_out), says)
