"""``anytime train``: a recipe becomes a run, and the run a calibrated bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from anytime.cli.given import add_store, bad_option, check_out, publish, report_made
from anytime.cli.progress import shown

NAME = "train"
HELP = "train a network and its exits from a recipe, calibrate and publish"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, what to change in it, and where things lie."""
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a .toml file, or the name of one that is shipped")
    parser.add_argument("--list", action="store_true", help="list the recipes that are shipped, and stop")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="change a value of the recipe: exits.heads.epochs=5; repeatable")  # fmt: skip
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where the data set's files lie (default: $ANYTIME_DATA)"
    )
    parser.add_argument("--offline", action="store_true", help="download nothing")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--precision", default="auto", help="auto, bf16 or float32 (default: auto)")
    parser.add_argument("--run", dest="run_folder", type=Path, metavar="DIR",
                        help="checkpoints, log and traces; a killed run goes on (default: runs/NAME-SEED)")  # fmt: skip
    parser.add_argument("--backbone-of", type=Path, metavar="RUN", help="take the trained backbone of that run")
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON value")


def run(args: argparse.Namespace) -> int:
    """Raises ``TrainingError``, ``StoreError`` or ``OSError``; returns 0."""
    from anytime.training.loop import choose_device
    from anytime.training.recipe import read_recipe, shipped, with_seed
    from anytime.training.train import train_recipe

    if args.list:
        print("\n".join(shipped()))
        return 0
    if args.recipe is None:
        raise bad_option(f"which recipe? give a .toml file, or one that is shipped: {', '.join(shipped())}")
    check_out(args)
    recipe = with_seed(read_recipe(args.recipe, args.set), args.seed)
    folder = args.run_folder or Path("runs", f"{recipe.name}-{recipe.seed}")
    device = choose_device(args.device, args.precision)
    with shown(quiet=args.json) as how:
        made = train_recipe(
            recipe, folder, device=device, folder=args.data_dir, may_download=not args.offline,
            backbone_of=args.backbone_of, progress=how.progress, say=how.say,
        )  # fmt: skip
    report_made(publish(made.bundle, args), made.traces, folder, as_json=args.json)
    return 0
