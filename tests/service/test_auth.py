"""Tests of API keys."""

from hashlib import sha256

import pytest

from anytime.service.auth import AnyKey, KeyRing, key_ring

RING = key_ring([sha256(b"first").hexdigest(), sha256("zwei-ü".encode()).hexdigest()])


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([(b"authorization", b"Bearer first")], True),
        ([(b"authorization", b"bearer  first ")], True),
        ([(b"x-api-key", b"first")], True),
        ([(b"x-api-key", "zwei-ü".encode())], True),
        ([(b"accept", b"*/*"), (b"x-api-key", b"wrong"), (b"authorization", b"Bearer first")], True),
        ([], False),
        ([(b"authorization", b"first")], False),
        ([(b"authorization", b"Basic first")], False),
        ([(b"authorization", b"Bearer")], False),
        ([(b"authorization", b"Bearer First")], False),
        ([(b"x-api-key", b"")], False),
        ([(b"x-api-key", sha256(b"first").hexdigest().encode())], False),
        ([(b"x-api-key", b"\xff\x00")], False),
    ],
)
def test_allows(headers, allowed):
    """A known key passes in either header; a wrong one, none, or a hash does not."""
    assert RING.allows(headers) is allowed


def test_every_key_is_compared(monkeypatch):
    """The first key's match does not end the comparison, so that its time says nothing."""
    compared = []
    ring = KeyRing([sha256(b"first").hexdigest(), sha256(b"second").hexdigest()])

    def compare(one, other):
        compared.append(other)
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert ring.allows([(b"x-api-key", b"first")])
    assert len(compared) == 2


def test_without_keys_everybody_passes():
    """No hash at all is an object that asks for nothing."""
    ring = key_ring([])
    assert isinstance(ring, AnyKey)
    assert ring.allows([])
