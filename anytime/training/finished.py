"""A run that has ended, as it lies in its folder: what exits were trained, how, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anytime.model_store import Bundle, open_bundle
from anytime.model_store.manifest import MANIFEST
from anytime.policy import Trace, load_trace
from anytime.training.add_exits import ExitOptions, read_options
from anytime.training.attach import Network
from anytime.training.errors import RunFailed
from anytime.training.examples import Examples
from anytime.training.run_folder import BUNDLE, FEATURES, RECIPE, RUN, TRACES, read_claim
from anytime.training.source import Source, read_source
from anytime.training.train import read_trained


@dataclass(frozen=True)
class Finished:
    """A run of ``add_exits``."""

    folder: Path
    network: str
    """SHA-256 of the network's file."""
    data: str
    """``Examples.key``."""
    cuts: tuple[str, ...]
    """The tensor of each, shallowest first: one for every exit but the last."""
    options: ExitOptions
    bundle: Bundle
    traces: Mapping[str, Trace]

    @property
    def features(self) -> Path:
        return self.folder / FEATURES


def read_finished(folder: Path) -> Finished:
    """Raises ``RunFailed`` for a folder that is no run, or one that has not ended, and ``StoreError`` or ``TraceError``."""
    said, options = read_claim(folder / RUN), read_options(folder)
    missing = [name for name in ("network", "data", "cuts") if name not in said]
    if missing:
        raise RunFailed(
            f"{folder / RUN} cannot be read: {missing[0]!r} is not in it; give a folder that attach or train wrote"
        )
    paths = {part: folder / TRACES / f"{part}.npz" for part in ("calibration", "test")}
    if not all(path.is_file() for path in (folder / BUNDLE / MANIFEST, *paths.values())):
        raise RunFailed(f"the run in {folder} has not ended; start it again with the same arguments: it goes on")
    bundle = open_bundle(folder / BUNDLE)
    traces = {part: load_trace(path, bundle.manifest) for part, path in paths.items()}
    return Finished(folder, said["network"], said["data"], tuple(said["cuts"]), options, bundle, traces)


def find_again(
    run: Finished, *, data: str | None = None, data_dir: Path | None = None, labels: Path | None = None
) -> tuple[Network, Examples]:  # fmt: skip
    """The network and the rows that a run was made from; what is given is where they lie now.

    Raises ``RunFailed`` where they have changed since, and a ``TrainingError`` where they are not there.
    """
    if (run.folder / RECIPE).exists():
        if data is not None or labels is not None:
            raise RunFailed(f"{run.folder} is a run of a recipe, which names the data; say only where its files lie")
        network, examples = read_trained(run.folder, folder=data_dir)
        _check_same("the network", network.sha256, run.network, run)
    else:
        source = _elsewhere(read_source(run.folder), data, data_dir, labels)
        network = source.read_network()
        _check_same(f"the network in {source.network}", network.sha256, run.network, run)
        examples = source.read_examples(network, labelled=not run.options.distil, seed=run.options.seed)
    _check_same("the data", examples.key, run.data, run)
    return network, examples


def _elsewhere(source: Source, data: str | None, data_dir: Path | None, labels: Path | None) -> Source:
    given: dict[str, Any] = {"data": data, "data_dir": data_dir, "labels": labels}
    return replace(source, **{name: value for name, value in given.items() if value is not None})


def _check_same(what: str, got: str, wanted: str, run: Finished) -> None:
    if got != wanted:
        raise RunFailed(
            f"{what} changed since the run in {run.folder} was made (sha256 {got[:16]}, then {wanted[:16]}); give what it "
            f"was made from, or make the run anew"
        )
