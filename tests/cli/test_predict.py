"""Tests of ``anytime predict`` against a real HTTP server with scripted replies."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anytime.cli import main, predict
from anytime.cli.predict import PredictError, predict_url
from anytime.service.sse import HEADERS, event, heartbeat
from tests.doubles import ScriptedServer

ROW = {"label": "seven", "index": 7, "confidence": 0.61, "exit": 1, "depth": 1, "exits": 4, "cost": 0.12,
       "compute_ms": 0.141}  # fmt: skip
FINAL = {**ROW, "label": "nine", "exit": 2, "confidence": 0.97, "stop_reason": "confidence"}
DONE = {"id": "abc", "model": "digits", "version": 3, "elapsed_ms": 0.72, "queue_ms": 0.02}
REPLY = {**DONE, "rows": [FINAL]}
FAULT = {"code": "queue_full", "message": "come again"}
ROOT = Path(__file__).parents[2]
AT = "/v1/models/digits/predict"


def stream(*events):
    pieces = [event(name, data, number) for number, (name, data) in enumerate(events, start=1)]
    return {"content_type": dict(HEADERS)[b"content-type"].decode(), "pieces": [heartbeat(), *pieces]}


STREAM = stream(
    ("prediction", {"id": "abc", "row": 0, **ROW}), ("final", {"id": "abc", "row": 0, **FINAL}), ("done", DONE)
)


@pytest.fixture
def call(tmp_path, capsys):
    """Sends a file to a scripted server: returns the status, the printed, and what the server was asked."""
    file = tmp_path / "x.json"
    file.write_text("[[1, 2]]")

    def call(*words, path=AT, **script):
        with ScriptedServer(**script).serving() as server:
            status = main.main(["predict", server.url + path, str(file), *words])
        return status, capsys.readouterr(), server.asked

    return call


def test_one_answer(call):
    """The reply is shown as a line with its exit, cost and stop reason, and its model and times."""
    status, printed, ((target, headers, body),) = call(pieces=[json.dumps(REPLY).encode()])
    assert (status, target, headers["content-type"]) == (0, AT, "application/json")
    assert json.loads(body) == {"inputs": [[1, 2]]}
    assert "2/4  nine       0.9700  0.120  0.141  confidence" in printed.out
    assert "digits version 3: 0.720 ms, of them 0.020 ms queued (id abc)" in printed.out


def test_a_stream(call):
    """With ``--stream`` each exit is a line, the final one with what stopped it."""
    status, printed, ((_, headers, _),) = call("--stream", **STREAM)
    assert (status, headers["accept"]) == (0, "text/event-stream")
    assert [line.split()[0] for line in printed.out.splitlines() if "/4" in line] == ["1/4", "2/4"]
    assert "confidence" in printed.out.splitlines()[-2]
    assert "digits version 3" in printed.out


def test_a_stream_in_a_terminal(tmp_path):
    """In a terminal the table grows as exits arrive, and ends with the final row."""
    (tmp_path / "x.json").write_text("[[1, 2]]")
    ours, theirs = os.openpty()
    with ScriptedServer(**STREAM).serving() as server:
        command = [sys.executable, "-m", "anytime.cli.main", "predict", server.url + AT, "x.json", "--stream"]
        environ = os.environ | {"TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=theirs, cwd=tmp_path, env=environ)
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # Linux says EIO where others say end of file
            while more := os.read(ours, 65_536):
                said += more
        os.close(ours)
        assert process.wait() == 0
    assert said.rindex(b"1/4") < said.rindex(b"2/4") < said.rindex(b"digits version 3")


def test_policy_and_top_go_into_the_query(call):
    """Fields of ``--policy`` and ``--top`` travel as query parameters, beside those of the URL."""
    words = ["--policy", "confidence=0.9,null", "max_exit=2", "--policy", "level=null", "--top", "3"]
    _, _, ((target, _, _),) = call(*words, path=f"{AT}?trace=true", pieces=[json.dumps(REPLY).encode()])
    assert target == f"{AT}?trace=true&confidence=0.9%2Cnull&max_exit=2&level=null&top=3"


def test_json(call):
    """``--json`` prints the reply as it came, or one event per line."""
    _, printed, _ = call("--json", pieces=[json.dumps(REPLY).encode()])
    assert json.loads(printed.out) == REPLY
    _, printed, _ = call("--json", "--stream", **STREAM)
    events = [json.loads(line) for line in printed.out.splitlines()]
    assert [one["event"] for one in events] == ["prediction", "final", "done"]
    assert events[1]["data"] == {"id": "abc", "row": 0, **FINAL}


@pytest.mark.parametrize("words", [(), ("--stream",), ("--json",), ("--stream", "--json")])
def test_the_servers_error(call, words):
    """An error of the server is its code and message on standard error, and status 1."""
    status, printed, _ = call(*words, status=429, pieces=[json.dumps({"error": FAULT}).encode()])
    assert (status, printed.out.strip(), printed.err) == (1, "", "queue_full: come again\n")


@pytest.mark.parametrize("words", [(), ("--stream",)])
def test_an_error_of_something_else(call, words):
    """An error page of a proxy is told by its status."""
    status, printed, _ = call(*words, status=502, content_type="text/html", pieces=[b"<html>"])
    assert (status, printed.err) == (1, "http_502: the server gave no reason\n")


def test_errors_inside_a_stream(call):
    """An error of one row is shown in its place; one without a row ends the stream with its code and message."""
    failed = ("error", {"id": "abc", "row": 1, "error": FAULT})
    status, printed, _ = call("--stream", **stream(("final", {"row": 0, **FINAL}), failed, ("done", DONE)))
    assert status == 1
    assert "queue_full: come again" in printed.out
    ended = stream(("prediction", {"row": 0, **ROW}), ("error", {"id": "abc", "error": FAULT}))
    status, printed, _ = call("--stream", **ended)
    assert (status, printed.err) == (1, "queue_full: come again\n")
    assert "1/4" in printed.out


def test_a_failed_row_of_a_reply(call):
    """A reply in which a row failed is shown, with status 1."""
    reply = {**REPLY, "rows": [FINAL, {"row": 1, "error": FAULT}]}
    status, printed, _ = call(pieces=[json.dumps(reply).encode()])
    assert status == 1
    assert "queue_full: come again" in printed.out


def test_a_stream_that_breaks_off(call):
    """A stream without its last event is an error."""
    status, printed, _ = call("--stream", **stream(("prediction", {"row": 0, **ROW})))
    assert status == 1
    assert printed.err.startswith("stream_broken: ")


def test_a_server_that_does_not_stream(call):
    """A server that answers with something else than events is named."""
    status, printed, _ = call("--stream", pieces=[json.dumps(REPLY).encode()])
    assert status == 2
    assert "sent no event stream" in printed.err


def test_nobody_answers(call, tmp_path, capsys):
    """Where nobody listens the message asks whether the service runs, with status 2."""
    (tmp_path / "y.json").write_text("[[1]]")
    with ScriptedServer().serving() as server:
        url = server.url
    assert main.main(["predict", url + AT, str(tmp_path / "y.json")]) == 2
    assert "is the service running?" in capsys.readouterr().err


def test_a_key(call, tmp_path):
    """``--key-file`` sends the key that the file holds."""
    (tmp_path / "key").write_text("secret\n")
    _, _, ((_, headers, _),) = call("--key-file", str(tmp_path / "key"), pieces=[json.dumps(REPLY).encode()])
    assert headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("url", "model", "full"),
    [
        ("http://h:1/v1/models/m/predict", None, "http://h:1/v1/models/m/predict"),
        ("http://h:1/v1/models/m/predict?top=1", None, "http://h:1/v1/models/m/predict?top=1"),
        ("http://h:1", "m", "http://h:1/v1/models/m/predict"),
        ("http://h:1/", "m", "http://h:1/v1/models/m/predict"),
        ("h:1/under", "m:stable", "http://h:1/under/v1/models/m/versions/stable/predict"),
    ],
)
def test_predict_url(url, model, full):
    """A predict URL is taken as it is; a server's gets the model's path, with a version where one is named."""
    assert predict_url(url, model) == full


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["http://h:1", "x"], "give --model NAME"),
        (["http://h:1/v1/models/m/predict", "x", "--model", "m"], "names a model already"),
        (["http://h:1", "x", "--model", "m", "--policy", "0.9"], "wanted FIELD=VALUE"),
        (["ftp://h:1", "x", "--model", "m"], "is no URL"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, capsys, words, says):
    """What cannot be sent is told before anything is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(b"1234")
    assert main.main(["predict", *words]) == 2
    assert says in capsys.readouterr().err


def test_errors_are_named():
    """A request that cannot be sent has its own error."""
    with pytest.raises(PredictError):
        predict_url("http://h", None)
    assert predict.NAME == "predict"
