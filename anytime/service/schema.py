"""The shapes of requests and replies as pydantic models: for the documentation only, the hot path builds plain dicts.

A test holds them to what ``reply`` and ``errors`` really write.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from anytime.model_store.manifest import Input, Level, OperatingPoint, Size
from anytime.model_store.tensors import DType
from anytime.policy import Policy, Reason

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Exit = Annotated[int, Field(ge=1)]


class Shape(BaseModel):
    """Closed, so that a field without a documentation fails the test."""

    model_config = ConfigDict(extra="forbid")


class EncodedTensor(Shape):
    """A tensor in base64."""

    dtype: DType
    shape: list[Annotated[int, Field(ge=1)]] = Field(description="The whole shape, rows first.")
    data: str = Field(description="The elements, little-endian, C order, in base64.")


class PredictBody(Shape):
    """The body of a prediction request."""

    inputs: dict[str, EncodedTensor | list[Any]] | EncodedTensor | list[Any] = Field(
        description="Tensors by input name, or the tensor itself if there is one input. Nested lists: the row axis first."
    )
    policy: Policy | None = Field(None, description="When to stop; over the model's default and the service's.")
    top: Annotated[int, Field(ge=0)] | None = Field(None, description="List this many labels, most probable first.")
    trace: bool | None = Field(None, description="Return every exit's raw outputs and every graph's milliseconds.")
    stream: bool | None = Field(None, description="Answer with a stream of events, or not, whatever `Accept` says.")


class TopLabel(Shape):
    """One of the most probable labels."""

    label: str
    index: int
    probability: Share


class LevelAnswer(Shape):
    """What one level of a hierarchy says."""

    label: str
    index: int
    confidence: Share


class ExitOutputs(Shape):
    """What one exit's head wrote."""

    exit: Exit
    outputs: dict[str, list[Any]]


class GraphTime(Shape):
    """How long one graph took."""

    stage: Exit
    part: Literal["body", "head"]
    ms: float


class Trace(Shape):
    """What was recorded of a row."""

    exits: list[ExitOutputs]
    graphs: list[GraphTime]


class Row(Shape):
    """One row's prediction."""

    label: str
    index: int = Field(description="The label's index.")
    confidence: Share = Field(description="The calibrated top probability.")
    top: list[TopLabel] | None = None
    exit: Exit = Field(description="Where the prediction came from.")
    depth: Exit = Field(description="The deepest exit whose head had finished.")
    exits: Exit = Field(description="The model's number of exits.")
    cost: float = Field(description="Multiply-adds as a share of full depth's.")
    compute_ms: float
    stop_reason: Reason | None = Field(None, description="What stopped the row; absent while it goes on.")
    level: str | None = Field(None, description="The level that the label is of, where the model has levels.")
    levels: dict[str, LevelAnswer] | None = None
    commitment: Share | None = None
    ood: Share | None = None
    trace: Trace | None = None


class Fault(BaseModel):
    """What was wrong; some codes bring fields of their own."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="Stable: made for programs.")
    message: str = Field(description="For people: what was got, what was wanted, what to do.")
    field: str | None = None
    input: str | None = None
    retry_after_s: float | None = None
    request_id: str | None = None


class ErrorReply(Shape):
    """The one shape of every error."""

    error: Fault


class FailedRow(Shape):
    """A row that ended without an answer."""

    row: int
    error: Fault


class Done(Shape):
    """The last event of a stream: the reply without its rows."""

    id: str
    model: str
    version: int
    elapsed_ms: float
    queue_ms: float


class Reply(Done):
    """The answer to a prediction request; rows in the order of the input."""

    rows: list[Row | FailedRow]


class StreamRow(Row):
    """A ``prediction`` or ``final`` event."""

    id: str
    row: int


class StreamFailedRow(FailedRow):
    """An ``error`` event of one row."""

    id: str


class ModelExit(Shape):
    """One exit of a model; accuracy is null where it was not calibrated."""

    exit: Exit
    macs: int = Field(description="Multiply-adds of a row that this exit needs.")
    cost: float = Field(description="The same as a share of full depth's.")
    ms: float = Field(description="Milliseconds to this exit, as measured here.")
    accuracy: Share | None
    outputs: list[str]


class ModelEntry(Shape):
    """One model of the store."""

    name: str
    version: int = Field(description="What a request without a version gets: `stable` if set, else `latest`.")
    versions: list[int]
    aliases: dict[str, int]
    loaded: list[int] = Field(description="The versions in memory; others are loaded on demand.")
    refused: dict[str, str] = Field(description="Versions that failed their checks, and the code of the fault.")


class ModelInfo(ModelEntry):
    """One version of a model: what to send, what each exit costs, how good it is."""

    method: str
    created: AwareDatetime
    task: Literal["classification"]
    inputs: list[Input]
    axes: dict[str, Size]
    labels: list[str]
    levels: list[Level] | None
    answer: Literal["latest", "most_confident", "best_validated"]
    macs_full: int
    base_macs: int | None
    exits: list[ModelExit]
    default_policy: dict[str, JsonValue] | None
    operating_points: list[OperatingPoint]


class ModelList(Shape):
    """What is served."""

    models: list[ModelEntry]


class Live(Shape):
    """The process answers."""

    live: Literal[True]


class RefusedBundle(Shape):
    """A version that failed its checks, and why."""

    model: str
    version: int
    code: str
    message: str


class Ready(Shape):
    """Whether a model serves; ``models``: the version that each name stands for."""

    ready: bool
    live: bool
    stopping: bool
    models: dict[str, int]
    refused: list[RefusedBundle]
