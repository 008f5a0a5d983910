"""A run from a recipe: the backbone is trained, exported once, and takes the road of any trained network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anytime.training.add_exits import HELD_ROWS, Made, add_exits, check_name
from anytime.training.apart import TOLERANCE, apart
from anytime.training.attach import Chain, Network, choose_cuts, cut, find_cuts, read_network
from anytime.training.data.augment import Augmentation, augmentation_named
from anytime.training.data.batches import augmented, batches
from anytime.training.data.data_set import DataSet
from anytime.training.data.read import read_data
from anytime.training.errors import BadRecipe, ParityBroken, RunFailed
from anytime.training.examples import Examples, picture_examples
from anytime.training.exits import Fresh
from anytime.training.export_backbone import INPUT, export_backbone, place_name
from anytime.training.loop import Device, Keeping, Progress, checkpoint, train
from anytime.training.models.backbone import Backbone, evaluating
from anytime.training.models.places import check_places, every_place, places_by_share
from anytime.training.models.registry import make_backbone
from anytime.training.recipe import Recipe
from anytime.training.run_folder import FEATURES, RECIPE, claim, read_claim

NETWORK = "network.onnx"
_CHUNK = 500
_COMPARED = (1, 3, 8)


class BackboneTask:
    """A classifier from scratch, by cross-entropy; reported on the calibration split."""

    name = "backbone"

    def __init__(self, backbone: Backbone, data: DataSet, augmentation: Augmentation, *, seed: int) -> None:
        self.module: nn.Module = backbone
        self._data, self._augmentation, self._seed = data, augmentation, seed
        self.rows = len(data.train)

    def batches(self, epoch: int, size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """inputs (B, *row shape), labels (B,)"""
        for batch in batches(
            self._data.train, size, seed=self._seed, epoch=epoch, augmentation=self._augmentation, start=start
        ):
            yield torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        inputs, labels = batch
        return functional.cross_entropy(self.module(inputs), labels)

    def evaluate(self) -> Mapping[str, float]:
        device = next(self.module.parameters()).device
        held = self._data.calibration
        rows = np.random.default_rng(self._seed).permutation(len(held))[:HELD_ROWS]
        chunks = np.array_split(np.sort(rows), -(-len(rows) // _CHUNK))
        found = [self.module(torch.from_numpy(held.inputs(one)).to(device)).argmax(dim=1).cpu().numpy() == held.labels[one]
                 for one in chunks]  # fmt: skip
        return {"held.accuracy": float(np.concatenate(found).mean())}


def train_recipe(
    recipe: Recipe, run: Path, *, device: Device, folder: Path | None = None, may_download: bool = True,
    backbone_of: Path | None = None, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None,
) -> Made:  # fmt: skip
    """Train what ``recipe`` says, in the folder ``run``, and write the calibrated bundle to ``run / "bundle"``.

    ``folder``: where the data set's files lie. ``backbone_of``: a run whose trained backbone is taken, so that methods are
    compared on the same. A run that was killed goes on to the same result. Raises a ``TrainingError``.
    """
    check_name(recipe.name)
    data = _data(recipe, folder, may_download=may_download, show_progress=progress is not None)
    backbone = _backbone(recipe, data)
    places = _places(recipe, backbone, data)
    augmentation = _augmentation(recipe, data)
    if recipe.exits.views > 1 and augmentation == Augmentation():
        raise BadRecipe(
            f"exits.views is {recipe.exits.views} and {data.name} is not augmented: all views would be the same"
        )
    said_of = {key: value for key, value in recipe.as_json().items() if key != "name"}
    claim(run / RECIPE, {**said_of, "data_sha256": data.sha256})
    if backbone_of is not None:
        _take_backbone(backbone_of, run)
    say(f"training {recipe.backbone.network} on {data.name}, {len(data.train):,} rows, on {device}")
    task = BackboneTask(backbone, data, augmentation, seed=recipe.seed)
    train(task, recipe.backbone.schedule, seed=recipe.seed, device=device, keeping=Keeping(run), progress=progress)
    path = run / NETWORK
    if not path.exists():
        export_backbone(backbone, places, data.input_shape, path)
    network = read_network(path, output="logits", outputs="logits")
    cuts = choose_cuts(network, find_cuts(network), at=[place_name(place) for place in places])
    _check_export(backbone, places, Chain(network, cut(network, cuts)), data)
    examples = _examples(recipe, data, network)
    said = json.dumps(recipe.as_json(), sort_keys=True)
    theirs = None if backbone_of is None else backbone_of / FEATURES
    fresh = _fresh(recipe, backbone, places, data, device) if recipe.exits.features == "fresh" else None
    home = theirs if theirs is not None and theirs.is_dir() else None
    return add_exits(recipe.name, network, cuts, examples, recipe.exit_options(), run, device=device, progress=progress,
                     say=say, recipe=said, features_home=home, fresh=fresh)  # fmt: skip


def _fresh(recipe: Recipe, backbone: Backbone, places: Sequence[int], data: DataSet, device: Device) -> Fresh:
    augmentation = _augmentation(recipe, data)

    def taking(epoch: int) -> Callable[[np.ndarray], np.ndarray]:
        take = augmented(data.train, seed=recipe.seed, epoch=epoch, augmentation=augmentation)
        return lambda rows: take(rows).inputs

    return Fresh(backbone, places, taking, data.train.labels, device, recipe.exits.heads.epochs)


def _check_export(backbone: Backbone, places: Sequence[int], chain: Chain, data: DataSet) -> None:
    """The pieces of the exported network against torch, on test rows at several batch sizes. Raises ``ParityBroken``."""
    said = [*(f"the feature after block {place}" for place in places), "the logits"]
    for size in _COMPARED:
        x = data.test.inputs(np.arange(min(size, len(data.test))))
        with torch.no_grad(), evaluating(backbone):
            features, logits = backbone.forward_exits(torch.from_numpy(x), places)
        for name, ours, theirs in zip(said, [*features, logits], chain.run({INPUT: x}), strict=True):
            difference = apart(ours.numpy(), theirs)
            if not difference <= TOLERANCE:
                raise ParityBroken(f"{name} of the exported network is {difference:.1e} from torch at {len(x)} rows; "
                                   f"wanted at most {TOLERANCE:g}")  # fmt: skip


def read_trained(run: Path, *, folder: Path | None = None) -> tuple[Network, Examples]:
    """What the exits of a run of ``train_recipe`` were trained on. Raises a ``TrainingError``, as where data are missing."""
    recipe = _claimed(run)
    network = read_network(run / NETWORK, output="logits", outputs="logits")
    return network, _examples(recipe, _data(recipe, folder), network)


def read_fresh(run: Path, exits: Sequence[int], *, device: Device, folder: Path | None = None) -> Fresh | None:
    """The training rows of a run as its heads saw them, at some of its exits, from 1 and before the last.

    ``None`` where their features were stored: of a run of ``attach``, and of a recipe that says so. Raises a
    ``TrainingError``, such as ``RunFailed`` where the trained backbone is gone.
    """
    recipe = _claimed(run) if (run / RECIPE).exists() else None
    if recipe is None or recipe.exits.features == "cached":
        return None
    data = _data(recipe, folder)
    backbone = _backbone(recipe, data)
    path = Keeping(run).checkpoint(BackboneTask.name)
    if checkpoint.load(path, backbone, None) is None:
        raise RunFailed(f"{path} is not there; start the run again: it goes on and writes it")
    places = _places(recipe, backbone, data)
    return _fresh(recipe, backbone, [places[exit - 1] for exit in exits], data, device)


def _claimed(run: Path) -> Recipe:
    """What a run is made from, whatever it is called. Raises ``RunFailed``."""
    said = {name: value for name, value in read_claim(run / RECIPE).items() if name != "data_sha256"}
    return Recipe.of_json({"name": "run", **said})


def _backbone(recipe: Recipe, data: DataSet) -> Backbone:
    """Not yet trained."""
    return make_backbone(recipe.backbone.network, labels=len(data.labels), input_shape=data.input_shape,
                         seed=recipe.seed, **recipe.backbone.options)  # fmt: skip


def _data(
    recipe: Recipe, folder: Path | None, *, may_download: bool = True, show_progress: bool = False
) -> DataSet:  # fmt: skip
    return read_data(
        recipe.data.name, folder, seed=recipe.seed, calibration=recipe.data.calibration, size=recipe.data.size,
        may_download=may_download, show_progress=show_progress,
    )  # fmt: skip


def _augmentation(recipe: Recipe, data: DataSet) -> Augmentation:
    return augmentation_named(recipe.data.augmentation or data.augmentation, data.train.normalisation)


def _examples(recipe: Recipe, data: DataSet, network: Network) -> Examples:
    return picture_examples(data, network.inputs, views=recipe.exits.views, seed=recipe.seed,
                            augmentation=_augmentation(recipe, data))  # fmt: skip


def _take_backbone(other: Path, run: Path) -> None:
    """Raises ``RunFailed`` unless ``other`` trained the very same backbone to its end."""
    parts = [f"checkpoints/{BackboneTask.name}.npz", NETWORK]
    if not all((other / part).is_file() for part in (*parts, RECIPE)):
        raise RunFailed(f"{other} is no run with a trained backbone; give the folder of one")
    theirs, ours = (read_claim(one / RECIPE) for one in (other, run))
    differs = [key for key in ("backbone", "data", "data_sha256", "seed") if theirs.get(key) != ours[key]]
    if differs or theirs.get("exits", {}).get("at") != ours["exits"]["at"]:
        raise RunFailed(
            f"{other} differs in {', '.join(differs or ['exits.at'])}; give a run of the same backbone and places"
        )
    for part in parts:
        if not (run / part).exists():
            (run / part).parent.mkdir(parents=True, exist_ok=True)
            temp = (run / part).with_name(f".{Path(part).name}.partial")
            shutil.copy2(other / part, temp)
            temp.replace(run / part)


def _places(recipe: Recipe, backbone: Backbone, data: DataSet) -> tuple[int, ...]:
    """After which blocks; the block behind which only the classifier comes is left to the last exit."""
    at = recipe.exits.at
    if at == "shares":
        return places_by_share(backbone, data.input_shape)
    if at == "every":
        return every_place(backbone)
    return check_places(backbone, at)
