"""The networks by name, with the options that each takes."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from anytime.model_store.nearest import nearest
from anytime.training.errors import BadOption
from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.mlp import mlp
from anytime.training.models.mobilenet import mobilenet
from anytime.training.models.resnet import resnet, resnet_50
from anytime.training.models.vgg import vgg
from anytime.training.models.wide_resnet import wide_resnet
from anytime.training.seeding import seeded

BACKBONES: Mapping[str, Callable[..., Backbone]] = {
    "mlp": mlp,
    "mobilenet": mobilenet,
    "resnet": resnet,
    **{f"resnet-{depth}": functools.partial(resnet, depth=depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
    "resnet-50": resnet_50,
    "vgg-11": functools.partial(vgg, depth=11),
    "vgg-16": functools.partial(vgg, depth=16),
    "wrn-32-4": wide_resnet,
}
"""``resnet-50`` is the one for 224 x 224; CIFAR's of that depth is ``resnet`` with ``depth=50``."""


def make_backbone(name: str, *, labels: int, input_shape: Shape, seed: int = 0, **options: Any) -> Backbone:
    """A network with fresh weights, drawn by ``seed`` alone.

    ``input_shape``: of one row, (channels, height, width) but for ``mlp``, which takes any; ``options``: see
    ``backbone_options``. Raises ``BadOption`` for what is not known, or does not go together.
    """
    known = backbone_options(name)
    for option, value in options.items():
        if option not in known:
            raise BadOption(f"{name} has no option {option!r}; {nearest(option, known)}")
        options[option] = _checked(name, option, value, known[option])
    if labels < 2:
        raise BadOption(f"a classifier tells at least 2 labels apart, got {labels}; give the data's own")
    if (name != "mlp" and len(input_shape) != 3) or any(size < 1 for size in input_shape):
        raise BadOption(f"{name} takes rows of (channels, height, width), got {input_shape}; give the data's own shape")
    with seeded(seed):
        try:
            return BACKBONES[name](labels, input_shape, **options)
        except ValueError as error:  # torch's, of a value that no layer takes
            raise BadOption(f"{name} cannot be made: {error}; change that option") from error


def backbone_options(name: str) -> dict[str, Any]:
    """The options of a network and their defaults. Raises ``BadOption`` for a name that is not known."""
    if name not in BACKBONES:
        raise BadOption(f"there is no network {name!r}; {nearest(name, BACKBONES)}")
    factory = BACKBONES[name]
    fixed: set[str] = set(factory.keywords) if isinstance(factory, functools.partial) else set()
    parameters = inspect.signature(factory).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in fixed}


def _checked(name: str, option: str, value: Any, default: Any) -> Any:
    """The value as the factory takes it: of the default's type, a whole number for a fraction and a list for a tuple."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(_checked(name, option, one, default[0]) for one in value)
    if isinstance(default, bool) or isinstance(value, bool):
        fits = type(value) is type(default)
    elif isinstance(default, int):
        fits = isinstance(value, int) and value >= 1
    else:
        fits = isinstance(default, float) and isinstance(value, int | float) and 0 <= value < math.inf
    if not fits:
        raise BadOption(f"{name}'s {option} is {value!r}; wanted something like {default!r}")
    return value
