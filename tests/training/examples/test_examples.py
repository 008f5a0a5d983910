"""Examples: some of their rows, their labels by name, and what tells them from others."""

from __future__ import annotations

import dataclasses

import numpy as np

from anytime.training.attach import rows_of, rows_taken
from anytime.training.examples import Examples, Part, gather, some


def part(start: int, rows: int, label: np.ndarray | None = None) -> Part:
    return Part(rows_of({"x": np.arange(start, start + rows, dtype=np.float32)[:, np.newaxis]}), label)


def examples(labels=("cat", "dog")) -> Examples:
    return Examples(
        (part(0, 8, np.arange(8) % 2),), part(8, 4, np.arange(4) % 2), part(12, 4, np.arange(4) % 2), labels
    )


def test_some_are_drawn_and_no_other_is_read():
    """By the seed, in order, with their labels; of a part in the order of its classes each class is there."""
    read: list[int] = []

    def take(indices: np.ndarray) -> dict[str, np.ndarray]:
        read.extend(indices.tolist())
        return {"x": indices.astype(np.float32)}

    whole = Part(rows_taken("all", 1000, take), np.arange(1000) // 100)
    rows, label = gather(whole, 100, seed=3)
    assert sorted(read) == read == rows["x"].tolist() and len(set(read)) == 100
    assert label.tolist() == [one // 100 for one in read] and len(set(label.tolist())) == 10
    assert (
        gather(whole, 100, seed=3)[0]["x"].tolist() == rows["x"].tolist() != gather(whole, 100, seed=4)[0]["x"].tolist()
    )
    assert some(whole, 1000, 0) is whole
    assert some(whole, 100, 3).rows.key != some(whole, 100, 4).rows.key != whole.rows.key


def test_labels_go_by_name():
    """Where both have the same names, in another order, the label of a row is the network's; else names are only put on."""
    mapped = examples().in_order_of(("dog", "cat"))
    assert mapped.labels == ("dog", "cat")
    assert mapped.test.label.tolist() == [1, 0, 1, 0] and mapped.train[0].label.tolist() == [1, 0] * 4
    other = examples().in_order_of(("Katze", "Hund"))
    assert other.labels == ("Katze", "Hund") and other.test.label.tolist() == [0, 1, 0, 1]


def test_the_key_holds_rows_and_labels():
    """Another row, another label or none at all make other examples; names alone do not."""
    one = examples()
    moved = dataclasses.replace(one, test=part(13, 4, one.test.label))
    relabelled = dataclasses.replace(one, test=Part(one.test.rows, 1 - one.test.label))
    bare = dataclasses.replace(one, train=(Part(one.train[0].rows, None),))
    keys = [each.key for each in (one, moved, relabelled, bare)]
    assert len(set(keys)) == 4
    assert dataclasses.replace(one, labels=("a", "b")).key == examples().key == one.key
    assert one.is_labelled and not bare.is_labelled
