"""``anytime cascade``: trained ONNX classifiers become one bundle, cheap to dear, each an exit."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.cli.given import add_preprocess, add_store, bad_option, read_names, read_preprocess, write

if TYPE_CHECKING:
    from anytime.model_store import Bundle

NAME = "cascade"
HELP = "put trained ONNX classifiers together: one bundle, an exit each, no training"

_KINDS = ("auto", "probabilities", "logits")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model's name, the files, and what the files do not say themselves."""
    parser.add_argument("name", help="the model's name in the store")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx", help="classifiers of the same input")
    parser.add_argument("--macs", action="append", metavar="N", default=[],
                        help="multiply-adds of a row where they cannot be counted, as in trees: FILE=N, repeatable, "
                             "or N,N,... in the order of the models")  # fmt: skip
    parser.add_argument("--outputs", action="append", metavar="KIND", default=[],
                        help=f"what the models give: {', '.join(_KINDS)} (default: auto), for all, "
                             "or FILE=KIND, repeatable")  # fmt: skip
    parser.add_argument("--labels", type=Path, metavar="FILE",
                        help="the classes' names, one a line (default: the models' own, else numbers)")  # fmt: skip
    add_preprocess(parser)
    parser.add_argument("--committee", action="store_true", help="each exit averages the models so far")
    parser.add_argument("--keep-order", action="store_true", help="keep the order given (default: by multiply-adds)")
    parser.add_argument("--answer", choices=("latest", "most_confident"), default="latest",
                        help="what to answer where no rule stopped (default: latest)")  # fmt: skip
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError`` or ``OSError``; returns 0."""
    from anytime.training.cascade import make_cascade
    from anytime.training.classifier import read_classifier

    macs, outputs = _macs(args.macs, args.models), _outputs(args.outputs, args.models)
    preprocess, labels = read_preprocess(args.preprocess), read_names(args.labels)
    classifiers = [
        read_classifier(path, kind, given) for path, kind, given in zip(args.models, outputs, macs, strict=True)
    ]
    cascade = make_cascade(
        args.name, classifiers, labels=labels, preprocess=preprocess,
        committee=args.committee, keep_order=args.keep_order, answer=args.answer,
    )  # fmt: skip
    _report(write(cascade.write, args), as_json=args.json)
    return 0


def _report(bundle: Bundle, *, as_json: bool) -> None:
    manifest = bundle.manifest
    macs = [stage.head.macs for stage in manifest.stages]
    if as_json:
        said = {"name": manifest.name, "version": manifest.version, "exits": manifest.exits, "macs": macs,
                "folder": str(bundle.folder), "digest": bundle.digest}  # fmt: skip
        print(json.dumps(said))
    else:
        each = ", ".join(f"{count:,}" for count in macs)
        exits = f"{manifest.exits} exit{'s' if manifest.exits > 1 else ''}"
        print(f"{manifest.name} version {manifest.version}: {exits} of {each} multiply-adds, in {bundle.folder}")


def _macs(given: Sequence[str], models: Sequence[Path]) -> list[int | None]:
    named = _by_model("--macs", [one for one in given if "=" in one], models)
    numbers = [number for one in given if "=" not in one for number in one.split(",")]
    if numbers and (named or len(numbers) != len(models)):
        raise bad_option(
            f"--macs gives {len(numbers)} numbers in order for {len(models)} models; give one per model, or FILE=N"
        )
    texts: Sequence[str | None] = numbers or [named.get(index) for index in range(len(models))]
    return [None if text is None else _count(text) for text in texts]


def _count(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise bad_option(f"--macs gives {text!r}; wanted a whole number of multiply-adds, at least 1")
    return int(text)


def _outputs(given: Sequence[str], models: Sequence[Path]) -> list[Any]:
    named = _by_model("--outputs", [one for one in given if "=" in one], models)
    for_all = [one for one in given if "=" not in one]
    kinds = [named.get(index, for_all[-1] if for_all else "auto") for index in range(len(models))]
    for kind in (*kinds, *for_all):
        if kind not in _KINDS:
            raise bad_option(f"--outputs gives {kind!r}; wanted one of {', '.join(_KINDS)}")
    return kinds


def _by_model(option: str, given: Sequence[str], models: Sequence[Path]) -> Mapping[int, str]:
    """Values written as FILE=VALUE, by the model's place; FILE is the path as given, or its name if unique."""
    from anytime.model_store.nearest import nearest

    found: dict[int, str] = {}
    for one in given:
        file, value = one.rsplit("=", 1)
        places = [index for index, path in enumerate(models) if file == str(path) or Path(file) == path]
        places = places or [index for index, path in enumerate(models) if path.name == file]
        if not places:
            raise bad_option(f"{option} names {file!r}, which is none of the models; {nearest(file, models)}")
        if len(places) > 1 or places[0] in found:
            raise bad_option(f"{option} names {file!r} twice, or several models are called so; give each path once")
        found[places[0]] = value
    return found
