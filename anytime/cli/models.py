"""``anytime models``: what is in a store, what is in a bundle, whether it is sound, and what its aliases name."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anytime.cli.table import table

if TYPE_CHECKING:
    from anytime.model_store.bundle import Bundle
    from anytime.model_store.store import Store

NAME = "models"
HELP = "list, show, verify, name and add the bundles of a store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands; each takes ``--store`` and ``--json``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add(actions, "list", "the models, their versions and aliases")
    show = _add(actions, "show", "one bundle: inputs, exits, costs, operating points")
    verify = _add(actions, "verify", "check hashes and graphs of one bundle, one model, or all")
    alias = _add(actions, "alias", "let an alias name a version, or remove it")
    add = _add(actions, "add", "publish the bundle in a folder")
    show.add_argument("model")
    show.add_argument("version", nargs="?", help="a version or alias (default: stable if set, else latest)")
    verify.add_argument("model", nargs="?", help="default: every model")
    verify.add_argument("version", nargs="?", help="a version or alias (default: every version)")
    alias.add_argument("model")
    alias.add_argument("alias")
    change = alias.add_mutually_exclusive_group(required=True)
    change.add_argument("version", nargs="?", help="a version or another alias")
    change.add_argument("--remove", action="store_true", help="remove the alias")
    add.add_argument("folder", type=Path)
    add.add_argument("--version", type=int, help="default: the next one")


def run(args: argparse.Namespace) -> int:
    """Run one sub-command. Raises ``StoreError`` or ``OSError``; returns 0, or 1 where ``verify`` found a fault."""
    from anytime.model_store.store import Store

    actions: Mapping[str, Callable[[Store, argparse.Namespace], int]] = {
        "list": _list, "show": _show, "verify": _verify, "alias": _alias, "add": _publish,
    }  # fmt: skip
    return actions[args.action](Store(args.store), args)


def _add(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    default = Path(os.environ.get("ANYTIME_STORE") or "models")
    parser.add_argument("--store", type=Path, default=default, metavar="DIR",
                        help="the store's folder (default: $ANYTIME_STORE, else ./models)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    return parser


def _list(store: Store, args: argparse.Namespace) -> int:
    found: list[dict[str, Any]] = [
        {"model": model, "versions": store.versions(model), "aliases": store.aliases(model)}
        for model in store.models()
    ]  # fmt: skip
    rows = [(one["model"], " ".join(map(str, one["versions"])), _pairs(one["aliases"])) for one in found]
    if not found and not args.json:
        print(f"no models in {store.root}; publish one with: anytime models add FOLDER")
    else:
        _print(args, found, table(("model", "versions", "aliases"), rows))
    return 0


def _show(store: Store, args: argparse.Namespace) -> int:
    described = _described(store.open(args.model, args.version))
    lines = [f"{key}: {described[key]}" for key in ("model", "version", "method", "created", "digest", "weight_bytes")]
    lines += [f"input: {entry['name']} {entry['dtype']} {entry['shape']}" for entry in described["inputs"]]
    lines += [f"labels: {described['labels']}", f"answer: {described['answer']}", ""]
    rows = [
        (exit["exit"], f"{exit['macs']:,}", f"{exit['cost']:.3f}", exit["accuracy"] or "-")
        for exit in described["exits"]
    ]
    _print(args, described, [*lines, *table(("exit", "macs", "cost", "accuracy"), rows)])
    return 0


def _described(bundle: Bundle) -> dict[str, Any]:
    manifest, flow = bundle.manifest, bundle.flow
    accuracy = (manifest.calibration and manifest.calibration.accuracy) or [None] * flow.exits
    exits = []
    for exit in range(1, flow.exits + 1):
        macs = flow.macs(flow.needs(exit))
        exits.append({"exit": exit, "macs": macs, "cost": macs / flow.macs_full, "accuracy": accuracy[exit - 1]})
    return {
        "model": manifest.name,
        "version": manifest.version,
        "method": manifest.method,
        "created": manifest.created.isoformat(),
        "digest": bundle.digest,
        "weight_bytes": bundle.weight_bytes,
        "inputs": [entry.model_dump(include={"name", "dtype", "shape"}, mode="json") for entry in manifest.inputs],
        "labels": len(manifest.labels),
        "answer": manifest.answer,
        "exits": exits,
        "operating_points": [
            point.name for point in (manifest.calibration.operating_points if manifest.calibration else ())
        ],
    }


def _verify(store: Store, args: argparse.Namespace) -> int:
    from anytime.model_store.errors import BundleError

    found = []
    for model in [args.model] if args.model else store.models():
        for version in [store.resolve(model, args.version)] if args.version else store.versions(model):
            fault: BundleError | None = None
            try:
                store.verify(model, version)
            except BundleError as error:
                fault = error
            found.append({"model": model, "version": version, "ok": fault is None,
                          "code": fault and fault.code, "message": fault and str(fault)})  # fmt: skip
    lines = [f"{one['model']} {one['version']}: {one['message'] or 'ok'}" for one in found]
    _print(args, found, lines)
    return 0 if all(one["ok"] for one in found) else 1


def _alias(store: Store, args: argparse.Namespace) -> int:
    if args.remove:
        store.remove_alias(args.model, args.alias)
        number = None
    else:
        number = store.set_alias(args.model, args.alias, args.version)
    said = "is removed" if number is None else f"is version {number}"
    _print(args, {"model": args.model, "alias": args.alias, "version": number}, [f"{args.model} {args.alias} {said}"])
    return 0


def _publish(store: Store, args: argparse.Namespace) -> int:
    bundle = store.publish(args.folder, args.version)
    added = {"model": bundle.manifest.name, "version": bundle.manifest.version, "folder": str(bundle.folder)}
    _print(args, added, [f"{added['model']} {added['version']} is in {added['folder']}"])
    return 0


def _print(args: argparse.Namespace, value: object, lines: Sequence[str]) -> None:
    print(json.dumps(value) if args.json else "\n".join(lines))


def _pairs(aliases: Mapping[str, int]) -> str:
    return " ".join(f"{alias}={version}" for alias, version in aliases.items())
