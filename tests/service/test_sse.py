"""Tests of server-sent events."""

import json

import httpx
import httpx_sse
from hypothesis import given
from hypothesis import strategies as st

from anytime.service.sse import HEADERS, event, heartbeat


def read(data):
    """What a client's parser makes of a stream."""
    return list(httpx_sse.EventSource(httpx.Response(200, headers=HEADERS, content=data)).iter_sse())


def test_bytes():
    """An event is an id, a name, one line of data and a blank line."""
    assert (
        event("final", {"row": 0, "label": "é"}, 7) == 'id: 7\nevent: final\ndata: {"row":0,"label":"é"}\n\n'.encode()
    )


@given(st.text(), st.integers(0, 10**9))
def test_no_text_breaks_the_framing(text, number):
    """Whatever a label holds, a parser reads back one event with that text."""
    (got,) = read(heartbeat() + event("prediction", {"label": text.encode(errors="replace").decode()}, number))
    assert (got.event, got.id) == ("prediction", str(number))
    assert json.loads(got.data) == {"label": text.encode(errors="replace").decode()}


def test_a_heartbeat_is_no_event():
    """A heartbeat is a comment: a parser sees nothing, between events as little as before the first."""
    assert read(heartbeat() * 3) == []
    said = event("prediction", {}, 1) + heartbeat() * 2 + event("final", {}, 2)
    assert [got.event for got in read(said)] == ["prediction", "final"]


def test_headers():
    """The stream's type is told, it is not stored, and nginx does not hold it back."""
    assert dict(HEADERS) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
    }
