"""Tests of logs and request ids."""

import io
import json
import logging

import pytest

from anytime.service.logs import current_request, request_id, set_up_logs


@pytest.fixture
def log():
    """Sets logging up on a text stream and hands the stream out; logging is put back afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()

    def set_up(form="json", level="info"):
        set_up_logs(level, form, stream)
        return stream

    yield set_up
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.parametrize("given", [b"a", b"x" * 128, b"6f9b-12_3.4:5/6+7=@"])
def test_a_clients_id_is_kept(given):
    """A safe X-Request-ID of 1 to 128 characters is the request's id."""
    assert request_id([(b"x-request-id", given)]) == given.decode()


@pytest.mark.parametrize("given", [None, b"", b"x" * 129, b"a b", b'a"b', b"a\nb", b"\xe9", b"a,b"])
def test_an_unsafe_id_is_replaced(given):
    """Without a safe id a new one is made, another each time."""
    headers = [] if given is None else [(b"x-request-id", given)]
    first, second = request_id(headers), request_id(headers)
    assert len(first) == 32
    assert first != second


def test_one_json_object_per_line(log):
    """A record is one line of JSON with its extra fields and the request's id, whatever the message holds."""
    stream = log()
    token = current_request.set("r1")
    logging.getLogger("anytime.x").info("two\nlines %s", '"quoted"', extra={"model": "digits", "ms": 1.5})
    current_request.reset(token)
    logging.getLogger("anytime.x").warning("done", extra={"request_id": "r2", "odd": {1: object}})
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "info", "logger": "anytime.x", "message": 'two\nlines "quoted"', "model": "digits", "ms": 1.5,
        "request_id": "r1",
    }  # fmt: skip
    assert (second["request_id"], second["level"]) == ("r2", "warning")


def test_exceptions_are_told(log):
    """A logged exception brings its traceback, on the same line."""
    stream = log()
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("anytime").exception("failed")
    assert "ValueError: broken" in json.loads(stream.getvalue())["exception"]


def test_the_servers_loggers_are_routed(log):
    """What the HTTP server logs comes in the same form, once."""
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler())
    stream = log()
    logging.getLogger("uvicorn.error").info("started")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["started"]


def test_level(log):
    """Below the level nothing is written."""
    stream = log(level="warning")
    logging.getLogger("anytime").info("quiet")
    logging.getLogger("uvicorn.access").info("quiet")
    assert stream.getvalue() == ""


def test_text(log):
    """As text, the message and its fields stand on one line."""
    stream = log("text")
    logging.getLogger("anytime").info("loaded", extra={"model": "digits"})
    assert stream.getvalue().rstrip().endswith("INFO    loaded model=digits")
