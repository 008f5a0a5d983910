"""Tests of the model card."""

from anytime.model_store.card import model_card


def test_exits():
    """Each exit has a line with what its body and head cost."""
    stage = {"body": {"macs": 1000, "params": 5}, "head": {"macs": 234, "params": 1}}
    card = model_card({"name": "net", "method": "ztw", "labels": ["a", "b"], "stages": [stage, {"head": {}}]})
    assert card.startswith("# net\n\nMethod: ztw.\nPredicts one of 2 labels.\n")
    assert card.endswith("| 1 | 1,234 | 6 |\n| 2 | 0 | 0 |\n")


def test_malformed():
    """Data that is no manifest gives a card with what fits."""
    assert model_card({"stages": 5, "labels": "x"}).startswith("# unnamed")
