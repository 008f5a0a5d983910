"""Event streams through a real nginx with deploy/nginx.conf: each event is handed on when it is made."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from httpx_sse import connect_sse

from tests.deploy import dawdler
from tests.programs import need
from tests.served import background, free_port, wait_until_answered

CONFIG = Path(__file__).parents[2] / "deploy" / "nginx.conf"
BODIES, ROWS = "anytime_graph_seconds_count", "anytime_rows_total"
BODY = {"inputs": [[0.0, 1.0]], "stream": True}


def derived(folder: Path, upstream: str, port: int) -> Path:
    """deploy/nginx.conf with other addresses, and every file it writes in ``folder``: it need not run as root."""
    text = CONFIG.read_text()
    for old, new in {
        r"server 127\.0\.0\.1:8000;": f"server {upstream};",
        r"listen 80;": f"listen 127.0.0.1:{port};",
        r"pid /run/nginx\.pid;": f"pid {folder}/nginx.pid;",
    }.items():
        text, changed = re.subn(old, new, text)
        assert changed == 1, f"deploy/nginx.conf has no {old}"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    path = folder / "nginx.conf"
    path.write_text(text.replace("http {\n", "http {\n" + places))
    return path


@pytest.fixture
def through_nginx(tmp_path):
    """A function from an upstream's address to nginx' URL before it."""
    stops = []

    def start(upstream: str, ready: str) -> str:
        port = free_port()
        config = derived(tmp_path, upstream, port)
        log = tmp_path / "log"
        # -e: where it logs before it has read where to; its default is root's.
        command = [
            need("nginx"),
            "-p",
            str(tmp_path),
            "-e",
            str(tmp_path / "errors"),
            "-c",
            str(config),
            "-g",
            "daemon off;",
        ]
        output = log.open("wb")
        running = background(command, output)
        stops.append((running, output))
        wait_until_answered(f"http://127.0.0.1:{port}{ready}", running.__enter__(), log)
        return f"http://127.0.0.1:{port}"

    yield start
    for running, output in stops:
        running.__exit__(None, None, None)
        output.close()


def count(url: str, metric: str, **labels: str | int) -> float:
    """Sum over the series of the service's own page that carry these labels."""
    page = httpx.get(f"{url}/metrics").raise_for_status().text
    series = re.findall(rf"^{metric}\{{(.*)\}} (\S+)$", page, re.MULTILINE)
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return sum(float(value) for given, value in series if all(label in given.split(",") for label in wanted))


def test_configuration_is_valid(tmp_path):
    """nginx' own checker accepts the file."""
    config = derived(tmp_path, "127.0.0.1:8000", free_port())
    command = [need("nginx"), "-t", "-p", str(tmp_path), "-e", str(tmp_path / "errors"), "-c", str(config)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_events_arrive_while_later_exits_are_computed(service, through_nginx):
    """When the first prediction comes out of nginx, the last stage has not been run; then all of it comes."""
    url = through_nginx(service.address, "/healthz")
    before = count(service.url, BODIES, stage=dawdler.EXITS, part="body")
    with (
        httpx.Client(timeout=60) as client,
        connect_sse(client, "POST", f"{url}/v1/models/{dawdler.NAME}/predict", json=BODY) as stream,
    ):
        events = stream.iter_sse()
        first = next(events)
        assert (first.event, first.json()["exit"]) == ("prediction", 1)
        assert count(service.url, BODIES, stage=dawdler.EXITS, part="body") == before
        kinds = [event.event for event in events]
    assert kinds == ["prediction"] * (dawdler.EXITS - 1) + ["final", "done"]
    assert count(service.url, BODIES, stage=dawdler.EXITS, part="body") == before + 1


def test_a_client_that_leaves_nginx_leaves_the_service(service, through_nginx):
    """nginx passes the hang-up on: the row ends as cancelled, before its last stage was run."""
    url = through_nginx(service.address, "/healthz")
    before = count(service.url, BODIES, stage=dawdler.EXITS, part="body")
    cancelled = count(service.url, ROWS, end="cancelled")
    with (
        httpx.Client(timeout=60) as client,
        connect_sse(client, "POST", f"{url}/v1/models/{dawdler.NAME}/predict", json=BODY) as stream,
    ):
        assert next(stream.iter_sse()).event == "prediction"
    while count(service.url, ROWS, end="cancelled") == cancelled:  # the suite's own limit ends a wait in vain
        time.sleep(0.01)
    assert count(service.url, BODIES, stage=dawdler.EXITS, part="body") == before


class OneAtATime(BaseHTTPRequestHandler):
    """A stand-in for the service that writes its second event only after the client told it that the first came."""

    protocol_version = "HTTP/1.1"
    told = threading.Event()

    def do_GET(self):
        if self.path == "/told":
            self.told.set()
            self.reply("text/plain", b"")
        elif self.path == "/stream":
            self.send_response(200)
            for name, value in {
                "Content-Type": "text/event-stream",
                "X-Accel-Buffering": "no",
                "Connection": "close",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"event: prediction\ndata: 1\n\n")
            self.wfile.flush()
            if self.told.wait(20):
                self.wfile.write(b"event: done\ndata: 2\n\n")
            self.close_connection = True
        else:
            self.reply("text/plain", b"ok")

    def reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Says nothing."""


def test_no_event_waits_for_the_next(through_nginx):
    """The second event is not even written before the first has arrived: a proxy that collects would never deliver it."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), OneAtATime)
    thread = threading.Thread(target=upstream.serve_forever)
    thread.start()
    try:
        address = f"127.0.0.1:{upstream.server_port}"
        url = through_nginx(address, "/")
        with httpx.Client(timeout=30) as client, connect_sse(client, "GET", f"{url}/stream") as stream:
            events = stream.iter_sse()
            assert next(events).event == "prediction"
            httpx.get(f"http://{address}/told").raise_for_status()
            assert [event.event for event in events] == ["done"]
    finally:
        upstream.shutdown()
        thread.join()
        upstream.server_close()


def test_the_service_tells_proxies_not_to_collect(service):
    """The header on which nginx stops collecting is on the stream; nginx keeps it to itself, so this looks before it."""
    body = {**BODY, "policy": {"max_exit": 1}}
    with httpx.stream("POST", f"{service.url}/v1/models/{dawdler.NAME}/predict", json=body) as reply:
        assert reply.headers["x-accel-buffering"] == "no"
        assert "no-store" in reply.headers["cache-control"] or "no-cache" in reply.headers["cache-control"]
