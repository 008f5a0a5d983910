"""Tests of guesses at what was meant."""

from anytime.model_store.nearest import nearest


def test_close():
    """A near miss is named."""
    assert nearest("lables", ["labels", "levels"]) == "did you mean 'labels'? known: labels, levels"


def test_far():
    """Without a near miss the known names are listed, twenty at most."""
    assert nearest("zzz", ["labels"]) == "known: labels"
    assert nearest("zzz", range(25)).endswith("19 and 5 more")


def test_none():
    """Where nothing is known it says so."""
    assert nearest("x", []) == "there are none"
