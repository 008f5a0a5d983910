"""The bundle's manifest, format 1, as frozen pydantic models: the shape of the file and the range of each field.

What several fields say together is checked in ``checks``; what the ONNX files say in ``verify``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from anytime.model_store import limits
from anytime.model_store.tensors import DType

FORMAT = 1
MANIFEST = "manifest.json"
RESERVED_TASKS = ("multi_label", "regression", "embedding")
LOGITS = "logits"
SCALAR_OUTPUTS = ("commitment", "stop", "ood")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""Of a model, a level, an operating point."""
TensorName = Annotated[str, StringConstraints(min_length=1, max_length=limits.NAME_CHARS)]
Path = Annotated[str, StringConstraints(min_length=1, max_length=limits.NAME_CHARS)]
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Fixed = Annotated[int, Field(ge=1, le=limits.AXIS)]
Shape = Annotated[tuple[Fixed | Symbol, ...], Field(min_length=1, max_length=16)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """Frozen, strict about types, closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class File(Part):
    """One file of the bundle: its SHA-256 in hexadecimal and its size in bytes."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, le=limits.FILE_BYTES)]


class Size(Part):
    """A symbolic axis: the sizes that a request may use; ``macs`` are counted at ``typical``."""

    min: Fixed
    max: Fixed
    typical: Fixed


class Preprocess(Part):
    """How a picture becomes one row of an image input: see ``pixels.preprocess``.

    In order: decode to ``channels``, resize (``int``: the shorter side; pair: height, width), crop the centre (height,
    width), scale to 0..1, subtract ``mean``, divide by ``std``, lay out, reshape to the input's row shape. An input of
    dtype ``uint8`` keeps its pixels as they are, 0 to 255, and takes no mean and no std.
    """

    channels: Literal["rgb", "gray"]
    resize: Fixed | tuple[Fixed, Fixed] | None = None
    crop: tuple[Fixed, Fixed] | None = None
    resample: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    mean: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=3)] = (0.0,)
    std: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)] = (1.0,)
    layout: Literal["chw", "hwc"] = "chw"


class Input(Part):
    """A named tensor of the request; also a state from the start, under its own name."""

    name: TensorName
    dtype: DType
    shape: Shape
    preprocess: Preprocess | None = None


class StartFile(Part):
    """A start value on file: a ``.npy`` of the state's shape without the row axis, copied for each row at admission."""

    file: Path


class State(Part):
    """A tensor that stages hand on."""

    name: TensorName
    dtype: DType
    shape: Shape
    start: Literal["zeros"] | StartFile | None = None


class Graph(Part):
    """One ONNX graph of a stage: what it reads and writes, and what a row costs at typical axis sizes."""

    file: Path
    reads: dict[TensorName, TensorName]
    """ONNX input: state (or input) name."""
    writes: dict[TensorName, TensorName]
    """ONNX output: state name or head output (``logits``, ``logits.<level>``, ``commitment``, ``stop``, ``ood``)."""
    macs: Count
    """Multiply-adds of one row."""
    params: Count


class Stage(Part):
    """The k-th piece of the network; ``body`` may be absent."""

    body: Graph | None = None
    head: Graph


class Level(Part):
    """One level of a hierarchy of labels; ``parent[i]`` is label i's index in the next coarser level."""

    name: Name
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=limits.LABELS)]
    parent: tuple[Count, ...] | None = None


class GainTable(Part):
    """``accuracy[k][bin][j]``: accuracy at exit j >= k, given the bin of the confidence at exit k (both from 0 here).

    ``edges[bin]`` is the lower edge of a bin; the first is 0. Every row has an entry per exit; those below k mean
    nothing.
    """

    edges: tuple[Share, ...]
    accuracy: tuple[tuple[tuple[Share, ...], ...], ...]


class OperatingPoint(Part):
    """A named set of stop rules, calibrated to hold an accuracy or a mean cost."""

    name: Name
    policy: dict[str, JsonValue]
    accuracy: Share
    cost: NotNegative
    ms: NotNegative | None = None
    exit_shares: tuple[Share, ...]
    certificate: dict[str, JsonValue] | None = None


class Calibration(Part):
    """What was measured on held-out data; absent: temperature 1 and nothing known."""

    temperature: tuple[tuple[Positive, ...], ...] | None = None
    """``temperature[exit][level]``; logits are divided by it."""
    accuracy: tuple[Share, ...] | None = None
    cost: tuple[NotNegative, ...] | None = None
    ms: tuple[NotNegative, ...] | None = None
    gain: GainTable | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    default_policy: dict[str, JsonValue] | None = None


class DataSet(Part):
    """What the network was trained on."""

    name: str
    sha256: str | None = None
    split: str | None = None


class Provenance(Part):
    """Where the bundle comes from: for people and for audits, never read by the service."""

    recipe: str | None = None
    seed: int | None = None
    data: DataSet | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, Finite] = Field(default_factory=dict)


class Manifest(Part):
    """``manifest.json``. Names of stages and exits count from 1 in ``repeat`` and wherever people read them."""

    format: Literal[1]
    name: Name
    version: Annotated[int, Field(ge=1, le=2**53)]
    method: str
    created: AwareDatetime
    task: Literal["classification"]
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=64)]
    axes: dict[Symbol, Size] = Field(default_factory=dict)
    labels: Annotated[tuple[str, ...], Field(min_length=2, max_length=limits.LABELS)]
    levels: Annotated[tuple[Level, ...], Field(min_length=2, max_length=16)] | None = None
    state: Annotated[tuple[State, ...], Field(max_length=limits.STATES)] = ()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=limits.STAGES)]
    repeat: Annotated[int, Field(ge=1)] | None = None
    answer: Literal["latest", "most_confident", "best_validated"] = "latest"
    base_macs: Annotated[int, Field(ge=1)] | None = None
    calibration: Calibration | None = None
    provenance: Provenance = Field(default_factory=Provenance)
    files: Annotated[dict[Path, File], Field(max_length=limits.FILES)]

    @property
    def exits(self) -> int:
        """The number of exits; the last is full depth."""
        return len(self.stages)

    @property
    def tensors(self) -> tuple[Input | State, ...]:
        """Everything that a graph may read: the inputs, then the state."""
        return (*self.inputs, *self.state)

    @cached_property
    def input_names(self) -> frozenset[str]:
        """Of every input."""
        return frozenset(entry.name for entry in self.inputs)

    @cached_property
    def level_names(self) -> tuple[str, ...]:
        """Finest first; empty for a bundle without a hierarchy."""
        return tuple(level.name for level in self.levels or ())

    @cached_property
    def logits_names(self) -> tuple[str, ...]:
        """The head output of each level, finest first: ``logits``, ``logits.<level>``, ..."""
        return (LOGITS, *(f"{LOGITS}.{name}" for name in self.level_names[1:]))

    @cached_property
    def level_labels(self) -> tuple[tuple[str, ...], ...]:
        """The labels of each level, finest first."""
        return (self.labels, *(level.labels for level in (self.levels or ())[1:]))

    @cached_property
    def head_outputs(self) -> frozenset[str]:
        """Every name that only a head may write."""
        return frozenset((*self.logits_names, *SCALAR_OUTPUTS))

    def temperature(self, exit: int, level: int = 0) -> float:
        """The calibrated temperature of an exit (from 1) and level (from 0); 1 where none was fitted."""
        table = self.calibration.temperature if self.calibration else None
        return table[exit - 1][level] if table else 1.0

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return self.model_dump_json(indent=1, exclude_unset=False) + "\n"
