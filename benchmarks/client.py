"""One caller over one keep-alive connection, in a process of its own: little between the clock and the socket.

    python -m benchmarks.client URL CONTENT_TYPE BODY_FILE REQUESTS [UNTIL]

Prints a JSON list: seconds from a request's first byte to the end of its reply or, with ``UNTIL`` (the name of an event), a
list of [seconds until that event had come, its data]. Streams are asked at idle, with a pause before each.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

WARM_UP = 100
PAUSE_S = 0.01
"""Before a request whose first event is timed: the server shall be idle, and not just done with the last."""


class Connection:
    """A keep-alive connection that posts the same request again and again."""

    def __init__(self, url: str, content_type: str, body: bytes) -> None:
        where = urlsplit(url)
        assert where.hostname is not None and where.port is not None, f"wanted http://host:port/..., got {url}"
        self._socket = socket.create_connection((where.hostname, where.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = f"{where.path}?{where.query}" if where.query else where.path
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    def reply_s(self) -> float:
        """Seconds from the request's first byte to the end of a reply of known length. Raises unless it is a 200."""
        start = time.perf_counter()
        self._socket.sendall(self._request)
        got = self._socket.recv(65536)
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        head = got[:end].lower()
        missing = end + 4 + int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]) - len(got)
        while missing > 0:
            missing -= len(self._more())
        taken = time.perf_counter() - start
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(got.decode(errors="replace"))
        return taken

    def event_s(self, event: str) -> tuple[float, str]:
        """Seconds until the first event of that name had come, and its data; the rest of the chunked reply is read."""
        mark, data = b"event: %b\n" % event.encode(), b"data: "
        time.sleep(PAUSE_S)
        start = time.perf_counter()
        self._socket.sendall(self._request)
        got = b""
        while (at := got.find(mark)) < 0 or got.find(b"\n\n", at) < 0:
            got += self._more()
        taken = time.perf_counter() - start
        said = got[at:].split(data, 1)[1].split(b"\n", 1)[0].decode()
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += self._more()
        return taken, said

    def _more(self) -> bytes:
        piece = self._socket.recv(65536)
        if not piece:
            raise RuntimeError("the server closed the connection")
        return piece


def timed(call: Callable[[], object], times: int) -> Iterator[object]:
    """What ``call`` gives, after a warm-up."""
    for _ in range(WARM_UP):
        call()
    for _ in range(times):
        yield call()


def main(url: str, content_type: str, body_file: str, requests: str, until: str | None = None) -> None:
    connection = Connection(url, content_type, Path(body_file).read_bytes())
    call = connection.reply_s if until is None else lambda: connection.event_s(until)
    json.dump(list(timed(call, int(requests))), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
