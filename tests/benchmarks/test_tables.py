"""Tables of figures come from results, and the documents hold what would be generated."""

from __future__ import annotations

import json

import pytest

from benchmarks import tables
from tests.source_tree import ROOT

RESULT = {
    "name": "staging",
    "command": "python -m benchmarks.staging",
    "machine": "2 cores, Linux",
    "columns": ["net", "ratio", "rows"],
    "rows": [["1 ms", 1.117, 12345], ["a|b", 1.0, 2]],
    "note": "",
}


def written(folder, **changes):
    path = folder / f"{RESULT['name']}.json"
    path.write_text(json.dumps({**RESULT, **changes}))
    return path


def test_numbers_stand_to_the_right():
    """A column of numbers is set to the right; three digits of a fraction are kept; a bar in a cell is escaped."""
    assert tables.table(RESULT["columns"], RESULT["rows"]).splitlines() == [
        "| net | ratio | rows |",
        "| --- | ---: | ---: |",
        "| 1 ms | 1.12 | 12,345 |",
        "| a\\|b | 1 | 2 |",
    ]


def test_a_mark_is_filled_and_filled_again():
    """What stands between the marks is replaced, whatever it was, and a second time changes nothing."""
    text = "before\n<!-- benchmarks: x -->\nold\nolder\n<!-- /benchmarks -->\nafter\n"
    once = tables.fill(text, {"benchmarks": lambda name: f"new {name}"})
    assert once == "before\n<!-- benchmarks: x -->\nnew x\n<!-- /benchmarks -->\nafter\n"
    assert tables.fill(once, {"benchmarks": lambda name: f"new {name}"}) == once


def test_each_mark_gets_its_own():
    """Two marks of a kind are filled apart, an empty one too, and other kinds are left alone."""
    text = "<!-- a: 1 -->\n<!-- /a -->\nmid\n<!-- a: 2 -->\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"
    filled = tables.fill(text, {"a": lambda name: name})
    assert (
        filled == "<!-- a: 1 -->\n1\n<!-- /a -->\nmid\n<!-- a: 2 -->\n2\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"
    )


def test_a_mark_without_its_end_is_an_error():
    """A mark that is never closed would swallow the page."""
    with pytest.raises(tables.TableError, match="opened and not closed"):
        tables.fill("<!-- a: 1 -->\ntext\n", {"a": lambda name: name})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "other"}, "should be the file's"),
        ({"rows": [["1 ms", 1.1]]}, "2 cells for 3 columns"),
        ({"extra": 1}, "exactly"),
    ],
)
def test_a_bad_result_is_refused(tmp_path, changes, said):
    """A result that would make a wrong table is refused, and the message says what is wrong with it."""
    with pytest.raises(tables.TableError, match=said):
        tables.load(written(tmp_path, **changes))


def test_a_good_result_is_read(tmp_path):
    """A result of the documented form is read as it is."""
    assert tables.load(written(tmp_path)).rows == RESULT["rows"]


def test_check_finds_what_write_mends(tmp_path):
    """A stale document is found, left alone by a check, and mended by a write."""
    page = tmp_path / "page.md"
    page.write_text("<!-- a -->\nold\n<!-- /a -->\n")
    kinds = {"a": lambda _: "new"}
    assert tables.update([page], kinds, write=False) == [page]
    assert "old" in page.read_text()
    assert tables.update([page], kinds, write=True) == [page]
    assert tables.update([page], kinds, write=False) == []


def test_every_result_is_well_formed():
    """Each committed result can be shown, and says by what and where it was made."""
    results = [tables.load(path) for path in sorted(tables.RESULTS.glob("*.json"))]
    assert [result.name for result in results if not (result.command and result.machine and result.rows)] == []


def test_every_result_is_shown():
    """What was measured is told, be it good or bad: each result has its mark in a document."""
    pages = "".join(page.read_text() for page in tables.documents())
    names = [path.stem for path in tables.RESULTS.glob("*.json")]
    assert [name for name in names if f"<!-- benchmarks: {name} -->" not in pages] == []


@pytest.mark.parametrize("page", tables.documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_documents_are_up_to_date(page):
    """No table of figures in a document differs from the results: `python -m benchmarks.tables --write`."""
    assert tables.update([page], {"benchmarks": tables.render}, write=False) == []
