"""``anytime demo``: two bundles from data that ships with scikit-learn, served, and lines to try.

A cascade of two models, and one network with exits inside, trained by Zero Time Waste.
"""

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
STAGED = "digits-ztw"
HELP = "make two first bundles, serve them, and print lines to try"


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
    staged = _sound(store, STAGED) or _train(args.folder, store)
    described = f"{_described(bundle)}\n{_described_exits(staged)}"
    if args.no_serve:
        print(described)
        return 0
    from anytime.service.server import serve
    from anytime.service.settings import Settings

    settings = Settings(store=store.root, port=args.port, log_level="warning", log_format="text")
    return serve(settings, on_ready=lambda url: print(described, _to_try(url, args.folder), sep="\n", flush=True))


def _ready(folder: Path, store: Store) -> Bundle | None:
    """What an earlier run made, if it is whole and sound."""
    from anytime.training.digits import NAME as MODEL
    from anytime.training.digits import SAMPLES

    bundle = _sound(store, MODEL)
    return bundle if all((folder / f"{name}.png").exists() for name in SAMPLES) else None


def _make(folder: Path, store: Store) -> Bundle:
    from anytime.training.digits import make_digits

    print("Training two small classifiers of handwritten digits, once...", flush=True)
    start = time.perf_counter()
    bundle = make_digits(folder, store)
    print(f"Trained, calibrated and published to {bundle.folder} in {time.perf_counter() - start:.1f} s.")
    return bundle


def _sound(store: Store, name: str) -> Bundle | None:
    """What an earlier run published, if it is whole."""
    from anytime.model_store import StoreError
    from anytime.model_store.errors import UnknownModel

    try:
        return store.verify(name)
    except UnknownModel:
        return None
    except StoreError as error:
        print(f"The bundle in {store.root} is damaged ({error}); making another.")
        return None


def _train(folder: Path, store: Store) -> Bundle:
    from anytime.cli.progress import shown
    from anytime.training.loop import choose_device, one_thread
    from anytime.training.recipe import read_recipe
    from anytime.training.train import train_recipe

    print("Training a small network with six exits by Zero Time Waste, once; it takes a minute or less...", flush=True)
    start = time.perf_counter()
    with shown() as how, one_thread():
        made = train_recipe(read_recipe("digits"), folder / "runs" / STAGED, device=choose_device("cpu", "float32"),
                            may_download=False, progress=how.progress, say=how.say)  # fmt: skip
    bundle = store.publish(made.bundle.folder)
    print(f"Trained, calibrated and published to {bundle.folder} in {time.perf_counter() - start:.1f} s.")
    return bundle


def _described_exits(bundle: Bundle) -> str:
    manifest = bundle.manifest
    assert manifest.calibration is not None and manifest.calibration.cost is not None, "training calibrates"
    shares = manifest.provenance.metrics.values()
    each = ", ".join(
        f"{share:.1%} at {cost:.0%}" for share, cost in zip(shares, manifest.calibration.cost, strict=True)
    )
    return f"{manifest.name} version {manifest.version}, right by share of multiply-adds, exit by exit: {each}"


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
        "\n# exits inside one network, each wiser for the ones before: who wants to be surer goes deeper",
        f"{_program()} predict {url}/v1/models/{STAGED}/predict {hard} --stream --policy confidence=0.999",
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
