"""What somebody who wrote an unknown name most likely meant: the last clause of an error message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 20
"""Names that a message lists at most."""


def nearest(name: object, known: Iterable[object]) -> str:
    """``"did you mean 'x'? known: ..."``, or just what is known, or that nothing is."""
    names = [str(one) for one in known]
    if not names:
        return "there are none"
    close = difflib.get_close_matches(str(name)[:255], names, n=1, cutoff=0.5)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    listed = f"known: {', '.join(names[:SHOWN])}{more}"
    return f"did you mean {close[0]!r}? {listed}" if close else listed
