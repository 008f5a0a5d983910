"""The service behind real sockets, in a thread of the test's own process, so that a test can look inside; and a client that
writes bytes, for what no HTTP library would send.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from anytime.service.app import Service
from anytime.service.server import Server
from anytime.service.settings import Settings

PATIENCE_S = 60.0
"""Generous: a loaded machine may be slow, and what hangs still ends the test."""


@dataclass(frozen=True)
class Live:
    """A running service."""

    url: str
    service: Service
    server: Server
    thread: threading.Thread

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def post(self, model: str, body: Any = None, **more: Any) -> httpx.Response:
        """One prediction request, JSON unless ``content`` or ``files`` is given."""
        if body is not None:
            more["json"] = body
        return httpx.post(f"{self.url}/v1/models/{model}/predict", timeout=PATIENCE_S, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_S, **more)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels."""
        total = 0.0
        for line in self.service.metrics.exposition().decode().splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match and all(f'{label}="{value}"' in (match[1] or "") for label, value in labels.items()):
                total += float(match[2])
        return total

    @property
    def graphs(self) -> int:
        """How many graphs have been started since their models were loaded, by the runners' own count."""
        catalogue = self.service.catalogue
        served = [catalogue.at_hand(name, None) for name in catalogue.models]
        return sum(one.runner.started for one in served if one is not None)

    def stop(self) -> None:
        """What a signal does."""
        self.server.should_exit = True

    def connect(self) -> Wire:
        return Wire(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S))


class Wire:
    """A connection of a client that minds every byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_for_ever(self, data: bytes) -> None:
        """Until the server will have no more."""
        while True:
            self.sock.sendall(data)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        """A whole request."""
        self.send(head(method, path, **{"content_length": str(len(body)), **headers}) + body)

    def answer(self) -> Answer:
        """The next reply, read whole and not a byte further."""
        version, status, _ = self._file.readline().split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = {name.lower(): value for name, value in http.client.parse_headers(self._file).items()}
        if headers.get("transfer-encoding") != "chunked":
            return Answer(int(status), headers, self._file.read(int(headers["content-length"])))
        return Answer(int(status), headers, b"".join(iter(self._chunk, b"")))

    def read_until(self, mark: bytes) -> bytes:
        """What comes, line by line, up to and with the line that ends with ``mark``."""
        data = b""
        while not data.endswith(mark):
            line = self._file.readline()
            assert line, f"the connection ended before {mark!r}: {data!r}"
            data += line
        return data

    def rest(self) -> bytes:
        """What comes until the server closes."""
        return self._file.read()

    def _chunk(self) -> bytes:
        data = self._file.read(int(self._file.readline(), 16))
        assert self._file.readline() == b"\r\n"
        return data


@dataclass(frozen=True)
class Answer:
    """A reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


def assert_refused(reply: httpx.Response | Answer, status: int, code: str) -> dict[str, Any]:
    """The one JSON shape, with the request's id in body and header, and nothing of the server's inside."""
    body = reply.content if isinstance(reply, httpx.Response) else reply.body
    got = reply.status_code if isinstance(reply, httpx.Response) else reply.status
    said = json.loads(body)
    assert said.keys() == {"error"}
    error: dict[str, Any] = said["error"]
    assert (got, error["code"]) == (status, code), error
    assert reply.headers["content-type"] == "application/json"
    assert error["message"]
    assert error["request_id"] == reply.headers["x-request-id"]
    assert b"Traceback" not in body
    assert b".py" not in body
    assert ("retry-after" in reply.headers) == ("retry_after_s" in error)
    if "retry-after" in reply.headers:
        assert int(reply.headers["retry-after"]) >= max(1.0, error["retry_after_s"])
    return error


def head(method: str, path: str, **headers: str) -> bytes:
    """A request's head; ``content_length`` becomes ``Content-Length``."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream; heartbeats are left out, ids must run from 1."""
    said = "\n".join(line for line in text.split("\n") if line != ":")
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in said.split("\n\n") if block]
    assert [block["id"] for block in blocks] == [str(number) for number in range(1, len(blocks) + 1)]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


def expect(holds: Callable[[], object]) -> None:
    """Waits until something holds, and fails where it never does."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.005)


@contextlib.contextmanager
def live(store: Path, **settings: Any) -> Iterator[Live]:
    """The service on a free port; it has stopped when the block ends."""
    given = {"workers": 1, "warmup_s": 0.0, "poll_s": 0.02, "drain_s": 0.0, **settings}
    asked = Settings.model_validate({"store": store, "port": 0, **given})
    ready, urls = threading.Event(), []
    service = Service(asked)

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    server = Server(asked, service, on_ready)
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    try:
        assert ready.wait(PATIENCE_S), "the service is not ready"
        yield Live(urls[0], service, server, thread)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the service did not stop"
