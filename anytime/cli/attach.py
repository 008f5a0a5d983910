"""``anytime attach``: exits on a trained network of the user's own, as a bundle that is calibrated and served."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.cli.given import (
    add_preprocess,
    add_store,
    bad_option,
    check_out,
    publish,
    read_names,
    read_preprocess,
    report_made,
)
from anytime.cli.progress import shown

if TYPE_CHECKING:
    from anytime.training.add_exits import ExitOptions
    from anytime.training.source import Source

NAME = "attach"
HELP = "put exits on a trained ONNX network: cut it, train heads on its features, calibrate and publish"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The network, the data, the exits, and how they are trained."""
    parser.add_argument(
        "network", metavar="MODEL.onnx", help="or file.py:factory, a function that makes a torch module"
    )
    parser.add_argument("--data", required=True, metavar="DATA",
                        help="pictures (a folder per class, or loose), an .npz of arrays, or a data set's name")  # fmt: skip
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where a named data set's files lie (default: $ANYTIME_DATA)"
    )
    right = parser.add_mutually_exclusive_group()
    right.add_argument("--labels", type=Path, metavar="FILE",
                       help="lines of picture,class index; for arrays a class index per line")  # fmt: skip
    right.add_argument("--distil", action="store_true", help="no labels: the exits imitate the network itself")
    parser.add_argument("--name", help="the model's name in the store (default: the file's)")
    parser.add_argument("--exits", type=int, default=8, metavar="N", help="at most, the last included (default: 8)")
    parser.add_argument(
        "--at", action="append", default=[], metavar="TENSOR", help="cut here; repeatable, instead of --exits"
    )
    parser.add_argument(
        "--show-cuts",
        action="store_true",
        help="list the places where the network may be cut, channels in brackets, and stop",
    )
    parser.add_argument("--method", choices=("ztw", "sdn"), default="ztw", help="default: ztw")
    parser.add_argument("--head", choices=("conv", "pool", "linear"), default="pool",
                        help="what heads on maps are made of; conv: most accurate, most costly (default: pool)")  # fmt: skip
    parser.add_argument("--tokens", choices=("mean", "first"), default="mean",
                        help="what heads on tokens read: the mean of those that a mask input leaves, or the first, as "
                             "BERT's [CLS] (default: mean)")  # fmt: skip
    parser.add_argument("--channels", choices=("auto", "first", "last"), default="auto",
                        help="where the channels of features are: as the graph tells, before the places (rows, channels, "
                             "height, width) or behind them (default: auto)")  # fmt: skip
    parser.add_argument("--stored", choices=("float32", "float16"), default="float32",
                        help="features on disk (default: float32)")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=50, help="of the heads (default: 50)")
    parser.add_argument("--ensemble-epochs", type=int, default=100, help="of the ensembles (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps, for the heads (default: auto)")
    parser.add_argument("--output", metavar="NAME", help="the network's output with the scores, where it has several")
    parser.add_argument("--outputs", choices=("auto", "logits", "probabilities"), default="auto",
                        help="what these scores are, where random rows do not tell (default: auto)")  # fmt: skip
    parser.add_argument("--input", action="append", default=[], metavar="NAME:DTYPE:SHAPE",
                        help="of a factory's network: image:float32:batch,3,224,224; repeatable")  # fmt: skip
    parser.add_argument("--axis", action="append", default=[], metavar="NAME=MIN,USUAL,MAX",
                        help="sizes of an open axis other than the rows; repeatable")  # fmt: skip
    parser.add_argument("--class-names", type=Path, metavar="FILE", help="the classes' names, one a line")
    add_preprocess(parser)
    parser.add_argument("--run", dest="run_folder", type=Path, metavar="DIR",
                        help="features, checkpoints, log and traces; a killed run goes on (default: runs/NAME)")  # fmt: skip
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError`` or ``OSError``; returns 0."""
    from anytime.training.add_exits import add_exits, check_name
    from anytime.training.attach import choose_cuts, find_cuts
    from anytime.training.loop import choose_device

    check_out(args)
    stem = Path(args.network.rpartition(":")[2] if _is_factory(args.network) else args.network).stem
    name = args.name or re.sub("[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "net"
    check_name(name)
    folder = args.run_folder or Path("runs", name)
    source = _source(args, folder)
    network = source.read_network()
    cuts = find_cuts(network)
    if args.show_cuts:
        from anytime.training.exits.reading import with_channels

        _show_cuts([with_channels(one, args.channels) for one in cuts], as_json=args.json)
        return 0
    chosen = choose_cuts(network, cuts, count=args.exits, at=args.at)
    options, device = _options(args), choose_device(args.device)
    examples = source.read_examples(
        network, labelled=not args.distil, seed=args.seed, show_progress=not args.json
    )  # fmt: skip
    with shown(quiet=args.json) as how:
        made = add_exits(
            name, network, chosen, examples, options, folder, device=device, progress=how.progress, say=how.say
        )
    source.keep(folder)
    report_made(publish(made.bundle, args), made.traces, folder, as_json=args.json)
    return 0


def _is_factory(text: str) -> bool:
    return ".py:" in text


def _source(args: argparse.Namespace, folder: Path) -> Source:
    """The network's file, exported once from a factory into the run's folder, and the data."""
    from anytime.training.attach.export_factory import FILE, export_factory
    from anytime.training.run_folder import claim
    from anytime.training.source import Source

    axes, path = dict(_axis(one) for one in args.axis), Path(args.network)
    names, preprocess = read_names(args.class_names), _preprocess(args.preprocess)
    if _is_factory(args.network):
        path = folder / "network" / FILE
        inputs = [_input(one) for one in args.input]
        claim(folder / "factory.json", {"factory": args.network, "inputs": args.input, "axes": args.axis,
                                        "source": _digest(args.network)})  # fmt: skip
        if not path.is_file():
            path = export_factory(args.network, inputs, path.parent, axes)
    elif args.input:
        raise bad_option("--input describes the inputs of a factory's network; an ONNX file says its own")
    return Source(path, args.data, args.output, axes, args.data_dir, args.labels, preprocess,
                  None if names is None else tuple(names), args.outputs)  # fmt: skip


def _digest(factory: str) -> str:
    """Of the factory's file: where it changed, the network is another."""
    path = Path(factory.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "not there"


def _input(text: str) -> Any:
    from anytime.training.attach import NetworkInput

    name, _, rest = text.partition(":")
    dtype, _, shape = rest.partition(":")
    axes = tuple(int(one) if one.strip().isdecimal() else one.strip() for one in shape.split(","))
    if not name or not dtype or len(axes) < 2 or axes[0] != "batch":
        raise bad_option(
            f"--input gives {text!r}; wanted NAME:DTYPE:SHAPE with the rows first: image:float32:batch,3,32,32"
        )
    return NetworkInput(name, dtype, axes)


def _axis(text: str) -> tuple[str, Any]:
    from anytime.model_store.manifest import Size

    name, _, sizes = text.partition("=")
    numbers = [int(one) for one in sizes.split(",") if one.strip().isdecimal()]
    if not name or len(numbers) != 3 or not 0 < numbers[0] <= numbers[1] <= numbers[2]:
        raise bad_option(f"--axis gives {text!r}; wanted NAME=MIN,USUAL,MAX in this order, such as sequence=1,128,512")
    return name, Size(min=numbers[0], typical=numbers[1], max=numbers[2])


def _preprocess(text: str | None) -> Any:
    from pydantic import ValidationError

    from anytime.model_store.manifest import Preprocess

    fields = read_preprocess(text)
    try:
        return None if fields is None else Preprocess.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise bad_option(
            f"--preprocess: {where}: {first['msg']}; known are {', '.join(Preprocess.model_fields)}"
        ) from error


def _options(args: argparse.Namespace) -> ExitOptions:
    from anytime.training.add_exits import ExitOptions
    from anytime.training.methods.schedules import ENSEMBLES, HEADS
    from anytime.training.models.heads import HeadOptions

    for option in ("epochs", "ensemble_epochs"):
        if getattr(args, option) < 1:
            raise bad_option(f"--{option.replace('_', '-')} is {getattr(args, option)}; wanted a whole number from 1")
    return ExitOptions(
        method=args.method, head=HeadOptions(args.head, tokens=args.tokens), distil=args.distil,
        seed=args.seed, stored=args.stored, channels=args.channels,
        heads=HEADS["cifar"].scaled(args.epochs),
        ensembles=ENSEMBLES.scaled(args.ensemble_epochs),
    )  # fmt: skip


def _show_cuts(cuts: list[Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"tensor": one.tensor, "kind": one.kind, "shape": list(one.shape), "macs": one.macs,
                           "share": one.share, "channels": one.channels, "told": one.told is not None}
                          for one in cuts]))  # fmt: skip
        return
    for one in cuts:
        axes = [f"[{size}]" if axis == one.channels else str(size) for axis, size in enumerate(one.shape)]
        print(f"{one.share:6.1%}  {one.kind:7} {', '.join(axes):26} {one.tensor}")
