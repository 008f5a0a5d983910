"""Recipes: TOML files that a run is made from. What is left out is the papers'; what is unknown is refused.

name = "fashion-resnet"        of the model in the store
[data]                         name, calibration, size, augmentation
[backbone]                     network, options = {...}, schedule = {...}
[exits]                        at, method, features, views, distil, head = {...}, ztw = {...}, heads = {...},
                               ensembles = {...}
"""

from __future__ import annotations

import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from anytime.model_store.nearest import nearest
from anytime.training.add_exits import ExitOptions, MethodName
from anytime.training.errors import BadOption, BadRecipe
from anytime.training.methods.schedules import BACKBONE, ENSEMBLES, HEADS, Schedule
from anytime.training.methods.ztw import ZtwOptions
from anytime.training.models.heads import HeadOptions


@dataclass(frozen=True)
class DataRecipe:
    """``calibration``: the share of the train part held out; ``augmentation``: by name, default what the papers do."""

    name: str
    calibration: float | None = None
    size: int | None = None
    augmentation: str | None = None


@dataclass(frozen=True)
class BackboneRecipe:
    """A network by name, with its own options, trained from scratch."""

    network: str
    options: dict[str, Any] = field(default_factory=dict)
    schedule: Schedule = BACKBONE


@dataclass(frozen=True)
class ExitsRecipe:
    """``at``: blocks, from 1, or ``every``, or ``shares`` (SDN's six).

    ``features``: ``cached``, computed once and stored, for ``views`` of the training rows: as they are, then augmented, each
    time anew; or ``fresh``, computed at every step from pictures augmented anew each epoch, as in the papers. Ensembles see
    four views at most.
    """

    at: tuple[int, ...] | Literal["every", "shares"] = "every"
    method: MethodName = "ztw"
    features: Literal["cached", "fresh"] = "cached"
    views: int = 1
    distil: bool = False
    head: HeadOptions = field(default_factory=HeadOptions)
    ztw: ZtwOptions = field(default_factory=ZtwOptions)
    heads: Schedule = HEADS["cifar"]
    ensembles: Schedule = ENSEMBLES
    stored: Literal["float32", "float16"] = "float32"


@dataclass(frozen=True)
class Recipe:
    """What a run is made from; with the same versions and device it gives the same result."""

    name: str
    data: DataRecipe
    backbone: BackboneRecipe
    exits: ExitsRecipe = field(default_factory=ExitsRecipe)
    seed: int = 0

    def exit_options(self) -> ExitOptions:
        """Raises ``BadOption`` where they contradict each other."""
        exits = self.exits
        return ExitOptions(
            method=exits.method, head=exits.head, ztw=exits.ztw, heads=exits.heads, ensembles=exits.ensembles,
            distil=exits.distil, seed=self.seed, stored=exits.stored,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Every value, those left out included."""
        return asdict(self)

    @staticmethod
    def of_json(said: Mapping[str, Any]) -> Recipe:
        """What ``as_json`` gave."""
        return TypeAdapter(Recipe).validate_python(said)


def shipped() -> tuple[str, ...]:
    """The names of the recipes that come with the package."""
    folder = resources.files("anytime.training") / "recipes"
    return tuple(sorted(one.name.removesuffix(".toml") for one in folder.iterdir() if one.name.endswith(".toml")))


def read_recipe(name: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """A file, or one of ``shipped`` by name. ``changes``: ``exits.heads.epochs=5``, TOML values by their keys.

    Raises ``BadRecipe``, which names the key.
    """
    path = Path(name)
    try:
        if path.suffix == ".toml":
            text = path.read_text(encoding="utf-8")
        elif str(name) in shipped():
            text = (resources.files("anytime.training") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
        else:
            raise BadRecipe(
                f"there is no recipe {str(name)!r}; give a .toml file, or one that is shipped: {nearest(name, shipped())}"
            )
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRecipe(f"the recipe {name} cannot be read: {error}; wanted TOML") from error
    for change in changes:
        _set(table, change)
    return parse_recipe(table, str(name))


def parse_recipe(table: Mapping[str, Any], said: str) -> Recipe:
    """Raises ``BadRecipe``: an unknown key, a wrong type, a missing key, or values that contradict each other."""
    _check_keys(Recipe, table, "", said)
    try:
        recipe = TypeAdapter(Recipe).validate_python(_over_defaults(table))
        recipe.exit_options()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"] if not str(one).startswith(("tuple[", "literal[")))
        raise BadRecipe(f"{said}: {where}: {first['msg']}; got {first['input']!r}") from error
    except BadOption as error:
        raise BadRecipe(f"{said}: {error}") from error
    _check_together(recipe, table, said)
    return recipe


def _check_together(recipe: Recipe, table: Mapping[str, Any], said: str) -> None:
    exits = recipe.exits
    given = table.get("exits", {})
    if "ensembles" in given and (exits.method == "sdn" or exits.ztw.ensemble == "none"):
        raise BadRecipe(
            f"{said}: exits.ensembles schedules a phase that there is not; leave it out, or name an ensemble"
        )
    if exits.views > 1 and recipe.data.augmentation == "none":
        raise BadRecipe(f"{said}: exits.views is {exits.views} and data.augmentation none: all views would be the same")
    if exits.features == "fresh" and (exits.views > 1 or exits.distil):
        raise BadRecipe(
            f"{said}: exits.features is fresh, which is for labels and augments every epoch anew; leave out exits.views and "
            "exits.distil, or take cached features"
        )
    if exits.views < 1:
        raise BadRecipe(f"{said}: exits.views is {exits.views}; wanted 1 or more")


def _over_defaults(table: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule that is given in part keeps the papers' other values."""
    result = {name: dict(value) if isinstance(value, Mapping) else value for name, value in table.items()}
    for part, key, default in (
        ("backbone", "schedule", BACKBONE),
        ("exits", "heads", HEADS["cifar"]),
        ("exits", "ensembles", ENSEMBLES),
    ):
        own = result.get(part, {})
        if isinstance(own, dict) and isinstance(given := own.get(key), Mapping):
            epochs = given.get("epochs", default.epochs)
            whole = default.scaled(epochs) if isinstance(epochs, int) and epochs > 0 else default
            own[key] = {**asdict(whole), **given}
    return result


def _check_keys(kind: Any, table: Any, where: str, said: str) -> None:
    if not isinstance(table, Mapping):
        raise BadRecipe(f"{said}: {where.removesuffix('.')} is {table!r}; wanted a table of {', '.join(_names(kind))}")
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in hints:
            raise BadRecipe(f"{said}: there is no key {where + key!r}; {nearest(key, _names(kind))}")
        inner = _dataclass_in(hints[key])
        if inner is not None:
            _check_keys(inner, value, f"{where}{key}.", said)


def _dataclass_in(hint: Any) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return next((one for one in options if is_dataclass(one)), None)


def _names(kind: Any) -> list[str]:
    return [one.name for one in fields(kind)]


def _set(table: dict[str, Any], change: str) -> None:
    key, is_given, value = change.partition("=")
    *parents, last = key.strip().split(".")
    if not is_given or not last or not all(parents):
        raise BadRecipe(f"the change {change!r} is not KEY=VALUE, such as exits.heads.epochs=5")
    try:
        found = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value.strip()  # a word without its quotes
    for parent in parents:
        inner = table.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise BadRecipe(f"the change {change!r} goes into {parent!r}, which is no table")
        table = inner
    table[last] = found


def with_seed(recipe: Recipe, seed: int | None) -> Recipe:
    """The recipe with another seed, where one is given."""
    return recipe if seed is None else replace(recipe, seed=seed)
