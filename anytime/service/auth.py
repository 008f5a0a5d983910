"""Who may call: API keys, of which the service knows only the hashes.

The hash of a key is its SHA-256 in hexadecimal: ``printf %s "$KEY" | sha256sum``. Make keys long and random
(``openssl rand -base64 33``): a plain hash protects a key that cannot be guessed, and is no protection for a password.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

from anytime.service.headers import Headers

CHALLENGE: tuple[bytes, bytes] = (b"www-authenticate", b"Bearer")
"""The header of a 401."""


class Keys(Protocol):
    """Says whether a request may be served."""

    def allows(self, headers: Headers) -> bool:
        """Whether the request carries a key that is known."""
        ...


class KeyRing:
    """A set of keys by their hashes."""

    def __init__(self, hashes: Iterable[str]) -> None:
        self._digests = tuple(bytes.fromhex(digest) for digest in hashes)

    def allows(self, headers: Headers) -> bool:
        """In ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``. Takes as long for any key, known or not."""
        is_known = False
        for key in _presented(headers):
            digest = sha256(key).digest()
            for known in self._digests:
                is_known |= hmac.compare_digest(digest, known)
        return is_known


class AnyKey:
    """No key is configured: everybody may call."""

    def allows(self, headers: Headers) -> bool:
        return True


def key_ring(hashes: Iterable[str]) -> Keys:
    """The check for these hashes; one that lets everybody pass where there are none."""
    hashes = tuple(hashes)
    return KeyRing(hashes) if hashes else AnyKey()


def _presented(headers: Headers) -> list[bytes]:
    keys = []
    for name, value in headers:
        if name == b"x-api-key":
            keys.append(value.strip())
        elif name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                keys.append(key.strip())
    return keys
