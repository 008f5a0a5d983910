"""``anytime demo``: a first bundle from data that ships with scikit-learn, served, and lines to try."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anytime.model_store import Bundle, Store

NAME = "demo"
HELP = "make a first bundle, serve it, and print lines to try"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to put things, where to listen, and whether to."""
    parser.add_argument("--folder", type=Path, default=Path(".demo"), metavar="DIR",
                        help="where the bundle, the models and the pictures go (default: .demo)")  # fmt: skip
    parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1 (default: 8000; 0 takes a free one)")
    parser.add_argument("--no-serve", action="store_true", help="make everything and stop")


def run(args: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM. Raises ``TrainingError``, ``StoreError`` or ``OSError``."""
    from anytime.model_store import Store

    store = Store(args.folder / "models")
    bundle = _ready(args.folder, store) or _make(args.folder, store)
    if args.no_serve:
        print(_described(bundle))
        return 0
    from anytime.service.server import serve
    from anytime.service.settings import Settings

    settings = Settings(store=store.root, port=args.port, log_level="warning", log_format="text")
    return serve(
        settings, on_ready=lambda url: print(_described(bundle), _to_try(url, args.folder), sep="\n", flush=True)
    )


def _ready(folder: Path, store: Store) -> Bundle | None:
    """What an earlier run made, if it is whole and sound."""
    from anytime.model_store import StoreError
    from anytime.model_store.errors import UnknownModel
    from anytime.training.digits import NAME as MODEL
    from anytime.training.digits import SAMPLES

    try:
        bundle = store.verify(MODEL)
    except UnknownModel:
        return None
    except StoreError as error:
        print(f"The bundle in {store.root} is damaged ({error}); making another.")
        return None
    return bundle if all((folder / f"{name}.png").exists() for name in SAMPLES) else None


def _make(folder: Path, store: Store) -> Bundle:
    from anytime.training.digits import make_digits

    print("Training two small classifiers of handwritten digits, once...", flush=True)
    start = time.perf_counter()
    bundle = make_digits(folder, store)
    print(f"Trained, calibrated and published to {bundle.folder} in {time.perf_counter() - start:.1f} s.")
    return bundle


def _described(bundle: Bundle) -> str:
    manifest, metrics = bundle.manifest, bundle.manifest.provenance.metrics
    lines = [f"{manifest.name} version {manifest.version}, on digits that it was neither trained nor calibrated on:"]
    for exit, stage in enumerate(manifest.stages, start=1):
        lines.append(
            f"  exit {exit}: {metrics[f'test.accuracy.exit-{exit}']:.1%} right, {stage.head.macs:,} multiply-adds"
        )
    accuracy, cost = metrics["test.accuracy.default"], metrics["test.cost.default"]
    lines.append(f"  default policy: {accuracy:.1%} right at {cost:.0%} of the last exit's multiply-adds")
    return "\n".join(lines)


def _to_try(url: str, folder: Path) -> str:
    from anytime.training.digit_pictures import PREPROCESS
    from anytime.training.digits import HARD
    from anytime.training.digits import NAME as MODEL

    easy, hard = (shlex.quote(str(folder / f"{name}.png")) for name in ("digit-7", HARD))
    predict = f"{url}/v1/models/{MODEL}/predict"
    curl = "curl -H 'Content-Type: image/png' --data-binary"
    small, large, models = (shlex.quote(str(folder / name)) for name in ("small.onnx", "large.onnx", "models"))
    lines = [
        f"\nServing at {url}. Try, in another terminal:",
        "\n# one answer; an easy picture leaves at exit 1",
        f"{curl} @{easy} {predict}",
        "\n# a stream: every exit of a hard picture as it is computed",
        f"curl -N -H 'Accept: text/event-stream' -H 'Content-Type: image/png' --data-binary @{hard} {predict}",
        "\n# the same as a table in the terminal",
        f"{_program()} predict {predict} {hard} --stream",
        "\n# another policy: the threshold that holds the mean cost at a quarter; or full depth",
        f"{curl} @{hard} '{predict}?target=cost-25'",
        f"{curl} @{hard} '{predict}?exact=true'",
        "\n# your own models: these two again, as a committee; it is served as soon as it is published",
        f"{_program()} cascade committee {small} {large} --committee --store {models} "
        f"--preprocess {shlex.quote(json.dumps(PREPROCESS))}",
        f"\nThe interface: {url}/docs   Depth, cost and latency: {url}/metrics   Ctrl-C stops.",
    ]
    return "\n".join(lines)


def _program() -> str:
    """How to call ``anytime`` from a shell here, whether or not the virtual environment is active."""
    if shutil.which("anytime"):
        return "anytime"
    beside = Path(sys.executable).with_name("anytime")
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m anytime.cli.main"
    return shlex.quote(str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside))
