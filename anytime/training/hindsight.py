"""What earlier exits knew and later ones forgot: from which rows each exit gets right. Knows no network.

Everything takes ``correct``, (rows, exits) of booleans, exits in order, and gives fractions.
"""

from __future__ import annotations

import numpy as np


def hindsight_improvability(correct: np.ndarray) -> np.ndarray:
    """Of the rows that exit m gets wrong, the share that any earlier exit got right, (exits,): lower wastes less.

    Paper 001, section 4.2. The text says any earlier exit, a union; the formula prints an intersection, which is not
    meant. 0 for an exit without errors, as for the first.
    """
    correct = np.asarray(correct, dtype=bool)
    wrong = ~correct
    missed = (wrong & correct_before(correct)).sum(axis=0)
    return _share(missed, wrong.sum(axis=0))


def correct_before(correct: np.ndarray) -> np.ndarray:
    """(rows, exits): whether any exit strictly before was right; never, before the first."""
    known = np.logical_or.accumulate(np.asarray(correct, dtype=bool), axis=1)
    return np.concatenate([np.zeros((len(known), 1), dtype=bool), known[:, :-1]], axis=1)


def oracle_accuracy(correct: np.ndarray) -> np.ndarray:
    """The accuracy of picking, with hindsight, the best of the exits up to m, (exits,)."""
    return np.logical_or.accumulate(np.asarray(correct, dtype=bool), axis=1).mean(axis=0)


def wasteful_overthinking(correct: np.ndarray) -> float:
    """Of the rows that the last exit gets right, the share that an earlier one already did (SDN, section 4).

    0 where the last exit gets none right.
    """
    last = np.asarray(correct, dtype=bool)[:, -1]
    return float(_share((last & correct_before(correct)[:, -1]).sum(), last.sum()))


def destructive_overthinking(correct: np.ndarray) -> float:
    """Of the rows that the last exit gets wrong, the share that an earlier one got right (SDN, section 4).

    It is the last exit's hindsight improvability; 0 where the last exit has no errors.
    """
    return float(hindsight_improvability(correct)[-1])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    return part / np.maximum(whole, 1)
