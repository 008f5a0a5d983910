"""Where the service listens."""

from __future__ import annotations

import socket

import httpx
import pytest

from anytime.service.listening import listen, url_of


def test_a_free_port() -> None:
    """Port 0: the URL names the one that was found, and somebody listens there."""
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        where = httpx.URL(url_of(listener))
        assert where.host == "127.0.0.1"
        with socket.create_connection((where.host, where.port)) as client:
            assert client.getpeername() == listener.getsockname()


def test_an_address_of_version_6() -> None:
    """Its URL has brackets."""
    try:
        (listener,) = listen("::1", 0)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_a_name() -> None:
    """Every address of it, once."""
    listeners = listen("localhost", 0)
    addresses = [listener.getsockname()[0] for listener in listeners]
    for listener in listeners:
        listener.close()
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses)) > 0


def test_a_port_that_is_taken() -> None:
    """The system's own reason."""
    (listener,) = listen("127.0.0.1", 0)
    with listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])
