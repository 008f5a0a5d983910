"""The log: lines of JSON, and no epoch twice."""

from __future__ import annotations

from anytime.training.loop.log import Log


def test_lines_come_back(tmp_path):
    """In order; a line that a kill cut short is passed over."""
    log = Log(tmp_path / "log.jsonl")
    assert log.lines() == []
    for epoch in range(3):
        log.append({"phase": "heads", "epoch": epoch})
    with log.path.open("a") as file:
        file.write('{"phase": "heads", "ep')
    assert [line["epoch"] for line in log.lines()] == [0, 1, 2]


def test_what_is_trained_again_is_dropped(tmp_path):
    """Of that phase only, and from that epoch on."""
    log = Log(tmp_path / "log.jsonl")
    log.rewind("heads", 0)
    assert not log.path.exists()
    for phase in ("backbone", "heads"):
        for epoch in range(3):
            log.append({"phase": phase, "epoch": epoch})
    log.rewind("heads", 1)
    assert [(line["phase"], line["epoch"]) for line in log.lines()] == [
        ("backbone", 0), ("backbone", 1), ("backbone", 2), ("heads", 0),
    ]  # fmt: skip
