"""How long before a deadline its timer must fire, so that the last byte is handed over in time."""

from __future__ import annotations

from collections import deque


class Guard:
    """Follows measured lateness: how long after a timer was due its reply was handed to the transport. In seconds."""

    FLOOR_S = 0.001
    CEILING_S = 0.025
    SHARE = 0.25
    """Never more than this share of a request's deadline: a short deadline is no reason to compute nothing."""

    def __init__(self, start_s: float = 0.003) -> None:
        self._late: deque[float] = deque(maxlen=128)
        self._value = start_s

    def learn(self, late_s: float) -> None:
        """A reply whose timer was due was handed over ``late_s`` after that."""
        self._late.append(late_s)
        ranked = sorted(self._late)
        usual_worst = ranked[int(0.99 * (len(ranked) - 1))]
        goal = min(self.CEILING_S, max(self.FLOOR_S, 1.2 * usual_worst))
        self._value += (1.0 if goal > self._value else 0.1) * (goal - self._value)

    def before(self, deadline_s: float) -> float:
        """How long before a deadline that is ``deadline_s`` from the request's head the timer fires."""
        return min(self._value, self.SHARE * deadline_s)
