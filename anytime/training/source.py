"""Where a network and its data are found: what ``anytime attach`` was told, kept in its run, so that it is found again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from anytime.model_store.manifest import Preprocess, Size
from anytime.training.attach import Network, read_network
from anytime.training.data.read import ENTRIES
from anytime.training.errors import BadOption, RunFailed
from anytime.training.examples import Examples, read_examples
from anytime.training.probe import Kind

FILE = "source.json"
_AGAIN = "attach again with the same arguments and this run: what is trained is kept"


@dataclass(frozen=True)
class Source:
    """A network's file and its output and axes; data by name or path, and how they become rows with labels."""

    network: Path
    data: str
    output: str | None = None
    axes: Mapping[str, Size] = field(default_factory=dict)
    data_dir: Path | None = None
    labels: Path | None = None
    preprocess: Preprocess | None = None
    class_names: tuple[str, ...] | None = None
    outputs: Literal["auto"] | Kind = "auto"
    """What the scores are; ``auto``: as random rows tell."""

    def read_network(self) -> Network:
        """Raises as ``attach.read_network``."""
        return read_network(self.network, output=self.output, outputs=self.outputs, axes=self.axes)

    def read_examples(self, network: Network, *, labelled: bool, seed: int, show_progress: bool = False) -> Examples:
        """Raises as ``examples.read_examples``."""
        found = read_examples(
            self.data, network.inputs, network.classes, folder=self.data_dir, labels=self.labels, labelled=labelled,
            preprocess=self.preprocess, seed=seed, show_progress=show_progress,
        )  # fmt: skip
        names = self.class_names or network.labels
        if names is None or (found.labels is None and self.class_names is None):
            return found
        if len(names) != network.classes or len(set(names)) != len(names):
            raise BadOption(f"{len(names)} names of classes, {len(set(names))} different, and {network.name} tells "
                            f"{network.classes}; give one for each")  # fmt: skip
        return found.in_order_of(names)

    def keep(self, run: Path) -> None:
        """Write ``source.json`` into a run's folder, paths in full, over one that is there."""
        full = replace(self, network=self.network.absolute(), data=_full(self.data),
                       data_dir=self.data_dir and self.data_dir.absolute(),
                       labels=self.labels and self.labels.absolute())  # fmt: skip
        run.mkdir(parents=True, exist_ok=True)
        temp = run / f".{FILE}.partial"
        temp.write_bytes(_ADAPTER.dump_json(full, indent=2) + b"\n")
        temp.replace(run / FILE)


def read_source(run: Path) -> Source:
    """What ``keep`` wrote. Raises ``RunFailed``."""
    try:
        return _ADAPTER.validate_json((run / FILE).read_bytes())
    except OSError as error:
        raise RunFailed(
            f"{run} does not say where its network and data are ({FILE}: {error.strerror or error}); {_AGAIN}"
        ) from error
    except ValidationError as error:
        raise RunFailed(f"{run / FILE} is damaged: {error.errors()[0]['msg']}; {_AGAIN}") from error


def _full(data: str) -> str:
    return data if data in ENTRIES and os.sep not in data else str(Path(data).absolute())


_ADAPTER = TypeAdapter(Source)
