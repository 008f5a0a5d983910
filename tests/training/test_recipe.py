"""Recipes: what is left out is the papers', what is unknown or contradicts itself is named."""

from __future__ import annotations

import dataclasses

import pytest

from anytime.training.add_exits import ExitOptions
from anytime.training.errors import BadRecipe
from anytime.training.methods.schedules import BACKBONE, ENSEMBLES, HEADS, Schedule
from anytime.training.methods.ztw import ZtwOptions
from anytime.training.models.heads import HeadOptions
from anytime.training.recipe import parse_recipe, read_recipe, shipped, with_seed

LEAST = {"name": "a", "data": {"name": "digits"}, "backbone": {"network": "resnet-8"}}


def parse(**more):
    return parse_recipe({**LEAST, **more}, "a.toml")


def test_what_is_left_out_is_the_papers():
    """Schedules, heads and cascade are those of the paper; exits come after every block."""
    recipe = parse()
    assert recipe.backbone.schedule == BACKBONE and recipe.exits.at == "every"
    assert recipe.exit_options() == ExitOptions(heads=HEADS["cifar"], ensembles=ENSEMBLES)
    assert (recipe.exits.ztw, recipe.exits.head) == (ZtwOptions(), HeadOptions())


def test_what_is_given_is_taken():
    """Tables in tables; a schedule that is given in part keeps the paper's rest, its milestones at the same shares."""
    recipe = parse(seed=3, exits={"at": [1, 3], "ztw": {"ensemble": "additive"}, "head": {"kind": "linear"},
                                  "heads": {"epochs": 10}, "ensembles": {"epochs": 7, "batch": 64}})  # fmt: skip
    assert recipe.exits.at == (1, 3)
    assert recipe.exits.heads == Schedule(10, 1e-3, (3,))
    assert recipe.exits.ensembles == dataclasses.replace(ENSEMBLES, epochs=7, batch=64)
    assert recipe.exit_options().ztw.ensemble == "additive" and recipe.exit_options().seed == 3
    assert with_seed(recipe, None) == recipe and with_seed(recipe, 5).seed == 5


@pytest.mark.parametrize("name", shipped())
def test_what_is_shipped_can_be_read(name):
    """Every recipe in the package."""
    assert read_recipe(name).name


def test_values_can_be_changed(tmp_path):
    """By key and TOML value; a bare word is one. Of a file as of one that is shipped."""
    (tmp_path / "a.toml").write_text('name = "a"\n[data]\nname = "digits"\n[backbone]\nnetwork = "resnet-8"\n')
    changes = ["exits.heads.epochs=5", "exits.method = sdn", "exits.at=[1, 2]", "backbone.options.width=4"]
    recipe = read_recipe(tmp_path / "a.toml", changes)
    assert (recipe.exits.heads.epochs, recipe.exits.method, recipe.exits.at) == (5, "sdn", (1, 2))
    assert recipe.backbone.options == {"width": 4}
    for change, says in (("exits", "not KEY=VALUE"), ("name.first=1", "which is no table"), ("=3", "not KEY=VALUE")):
        with pytest.raises(BadRecipe, match=says):
            read_recipe(tmp_path / "a.toml", [change])


@pytest.mark.parametrize(("more", "says"), [
    ({"exit": {}}, r"no key 'exit'; did you mean 'exits'\?"),
    ({"exits": {"heads": {"epoch": 3}}}, r"no key 'exits.heads.epoch'; did you mean 'epochs'\?"),
    ({"exits": {"ztw": {"ensembles": "none"}}}, "no key 'exits.ztw.ensembles'; did you mean 'ensemble'"),
    ({"exits": {"heads": 5}}, "exits.heads is 5; wanted a table of epochs"),
    ({"data": {}}, "data.name: Field required"),
    ({"seed": "three"}, "seed: .*'three'"),
    ({"exits": {"at": "evry"}}, "exits.at"),
    ({"exits": {"heads": {"epochs": 0}}}, "0 epochs"),
    ({"exits": {"heads": {"epochs": 5, "milestones": [9]}}}, r"milestones \[9\] of 5 epochs"),
    ({"exits": {"method": "sdn", "ztw": {"cascade": False}}}, "sdn has no cascade"),
    ({"exits": {"method": "sdn", "ensembles": {"epochs": 2}}}, "a phase that there is not"),
    ({"exits": {"ztw": {"ensemble": "none", "ensemble_final": True}}}, "ensemble_final"),
    ({"exits": {"views": 2}, "data": {"name": "digits", "augmentation": "none"}}, "all views would be the same"),
    ({"exits": {"views": 0}}, "exits.views is 0"),
    ({"exits": {"views": 2, "features": "fresh"}}, "leave out exits.views"),
    ({"exits": {"distil": True, "features": "fresh"}}, "or take cached features"),
    ({"exits": {"features": "frsh"}}, "exits.features"),
    ({"exits": {"head": {"kind": "cnov"}}}, "exits.head.kind: Input should be 'conv'"),
])  # fmt: skip
def test_what_is_wrong_is_named(more, says):
    """An unknown key with the nearest, a wrong type with its place, values that contradict each other."""
    with pytest.raises(BadRecipe, match=says):
        parse(**more)


def test_what_is_no_recipe(tmp_path):
    """A name that is not shipped, a file that is not there, one that is no TOML."""
    with pytest.raises(BadRecipe, match="no recipe 'digit'.*did you mean 'digits'"):
        read_recipe("digit")
    with pytest.raises(BadRecipe, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name =")
    with pytest.raises(BadRecipe, match="wanted TOML"):
        read_recipe(tmp_path / "bad.toml")
