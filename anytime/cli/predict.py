"""``anytime predict``: send a file to a model and show what it says, exit by exit with ``--stream``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from anytime.cli.upload import Upload

NAME = "predict"
HELP = "send a file to a served model and show its exits"

REFUSED = 1
"""The exit status where the server, or one of the rows, answered with an error."""
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_CONNECT_S, _SILENCE_S = 10.0, 300.0


class PredictError(ValueError):
    """A request that cannot be sent, or a server that cannot be understood."""

    code = "predict_failed"


class _RefusedError(Exception):
    """The server's own error: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The address, the file, the policy, and how to show the answer."""
    parser.add_argument("url", metavar="URL", help="a model's predict URL, or the server's with --model")
    parser.add_argument("file", metavar="FILE", type=Path, help="a picture, .json, .npy, .npz, or a raw tensor")
    parser.add_argument("--model", metavar="NAME[:VERSION]", help="the model, where URL is the server's")
    parser.add_argument("--policy", metavar="FIELD=VALUE", nargs="+", action="extend", default=[],
                        help="when to stop, as in: confidence=0.9 deadline_ms=50")  # fmt: skip
    parser.add_argument("--top", type=int, metavar="N", help="list the N most probable labels")
    parser.add_argument("--stream", action="store_true", help="show each exit's prediction as it arrives")
    parser.add_argument("--json", action="store_true", help="print JSON: the reply, or one event per line")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds the API key")


def run(args: argparse.Namespace) -> int:
    """Returns 0, or 1 where the server answered with an error. Raises ``PredictError``, ``UploadError``, ``OSError``."""
    from anytime.cli.upload import read_upload

    upload = read_upload(args.file)
    url = predict_url(args.url, args.model)
    query = [_field(text) for text in args.policy]
    if args.top is not None:
        query.append(("top", str(args.top)))
    try:
        with _client(url, args.key_file) as client:
            target = client.build_request("POST", url).url.copy_merge_params(tuple(query))
            send = _stream if args.stream else _ask
            return send(client, target, upload, args.json)
    except _RefusedError as error:
        print(error, file=sys.stderr)
        return REFUSED


def predict_url(url: str, model: str | None) -> str:
    """The address to send to: ``url`` itself if it is a predict URL, else the model's under it."""
    if "://" not in url:
        url = f"http://{url}"
    path = url.partition("?")[0].rstrip("/")
    if path.endswith("/predict"):
        if model is not None:
            raise PredictError(f"{url} names a model already; leave --model out, or give the server's URL")
        return url
    if model is None:
        raise PredictError(f"{url} names no model; give --model NAME, or a URL that ends in /v1/models/NAME/predict")
    name, _, version = model.partition(":")
    return f"{path}/v1/models/{name}{f'/versions/{version}' if version else ''}/predict"


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise PredictError(f"{text!r} is no policy field; wanted FIELD=VALUE, as in confidence=0.9")
    return name, value


@contextmanager
def _client(url: str, key_file: Path | None) -> Iterator[httpx.Client]:
    """A client that reaches its own machine without a proxy. Raises ``PredictError`` where nobody answers."""
    import httpx

    headers = {} if key_file is None else {"Authorization": f"Bearer {key_file.read_text(encoding='utf-8').strip()}"}
    timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
    try:
        mounts = {f"all://{host}": None for host in _LOOPBACK}
        with httpx.Client(headers=headers, timeout=timeout, mounts=mounts) as client:
            yield client
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise PredictError(f"{url} is no URL: {error}; wanted http://HOST:PORT") from error
    except httpx.TransportError as error:
        raise PredictError(f"{url} does not answer: {error!r}; is the service running?") from error


def _ask(client: httpx.Client, url: httpx.URL, upload: Upload, as_json: bool) -> int:
    response = client.post(url, content=upload.body, headers={"Content-Type": upload.content_type})
    _check(response)
    reply = response.json()
    if as_json:
        print(response.text)
    else:
        _show(reply)
    return REFUSED if any("error" in row for row in reply["rows"]) else 0


def _show(reply: dict[str, Any]) -> None:
    from rich.console import Console

    from anytime.cli.exits import Exits

    exits = Exits()
    for number, row in enumerate(reply["rows"]):
        exits.add({**row, "row": number})
    console = Console()
    console.print(exits)
    console.print(_summary(reply), highlight=False, markup=False)


def _stream(client: httpx.Client, url: httpx.URL, upload: Upload, as_json: bool) -> int:
    """Show events as they come. Raises ``_RefusedError`` for the error that ends the stream."""
    from rich.console import Console

    from anytime.cli.exits import Exits

    exits, done, failed = Exits(), None, False
    console = Console(quiet=as_json)
    with exits.shown_on(console):
        for name, data in _events(client, url, upload):
            if as_json:
                print(json.dumps({"event": name, "data": data}), flush=True)
            if name == "done":
                done = data
            elif name == "error" and "row" not in data:
                raise _refusal(data, "error")
            elif name in ("prediction", "final", "error"):
                failed |= name == "error"
                exits.add(data)
    if done is None:
        raise _RefusedError("stream_broken", "the server closed the stream before its end; send the request again")
    console.print(_summary(done), highlight=False, markup=False)
    return REFUSED if failed else 0


def _events(client: httpx.Client, url: httpx.URL, upload: Upload) -> Iterator[tuple[str, dict[str, Any]]]:
    from httpx_sse import SSEError, connect_sse

    headers = {"Content-Type": upload.content_type}
    with connect_sse(client, "POST", str(url), content=upload.body, headers=headers) as source:
        _check(source.response)
        try:
            for event in source.iter_sse():
                yield event.event, event.json()
        except SSEError as error:
            raise PredictError(f"{url} sent no event stream: {error}; leave --stream out") from error


def _check(response: httpx.Response) -> None:
    """Raises ``_RefusedError`` with the server's code and message, or with the bare status where it sent none."""
    if response.is_success:
        return
    response.read()
    try:
        body = response.json()
    except ValueError:
        body = None
    raise _refusal(body if isinstance(body, dict) else {}, f"http_{response.status_code}")


def _refusal(body: dict[str, Any], code: str) -> _RefusedError:
    error = body.get("error")
    if not isinstance(error, dict):
        return _RefusedError(code, "the server gave no reason")
    return _RefusedError(str(error.get("code", code)), str(error.get("message", "")))


def _summary(reply: dict[str, Any]) -> str:
    times = f"{reply['elapsed_ms']:.3f} ms, of them {reply['queue_ms']:.3f} ms queued"
    return f"{reply['model']} version {reply['version']}: {times} (id {reply['id']})"
