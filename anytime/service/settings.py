"""The service's settings: each spelled once, here, with its default and range. Flags and the table in the docs derive
from it; where values come from is told in ``configuration``. Read once at the top; parts receive plain values.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from anytime.policy import merge, parse_policy
from anytime.service.cpus import cpu_quota

ENVIRONMENT = "ANYTIME_"
"""What the names of environment variables begin with."""


def _split(value: Any) -> Any:
    """``a, b`` as the environment and flags spell a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _json(value: Any) -> Any:
    """A table as the environment and flags spell it."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"it should be a JSON object ({error})") from error


def _followable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    merge([parse_policy(value)])
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _workers(processes: int, threads: int) -> int:
    """Twice a process's part: one whose connections are busy may use what others leave idle."""
    cpus = cpu_quota()
    return max(1, min(cpus, -(-2 * cpus // processes)) // threads)


Seconds = Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False)]
Bytes = Annotated[ByteSize, Field(ge=1024)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/\s]+)$")]
KeyHash = Annotated[str, BeforeValidator(_lower), StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Settings(BaseModel):
    """Frozen, closed to unknown names. Sizes may be written with a unit: ``64 MiB``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    store: Path = Field(Path("models"), description="The folder of the bundles to serve.")
    host: Annotated[str, StringConstraints(min_length=1)] = Field("127.0.0.1", description="The address to listen on.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8000, description="The port to listen on; 0 takes a free one.")
    intra_op_threads: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="Threads inside one run of a graph.")
    processes: Annotated[int, Field(ge=1, le=256)] = Field(
        1,
        description="Processes that share the port; each loads every bundle, and gets its part of `queue_rows`, "
        "`state_bytes` and `model_bytes`.",
    )
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(
        default_factory=lambda given: _workers(given.get("processes", 1), given.get("intra_op_threads", 1)),
        description="Threads of each process that run graphs; by default as many as the CPU quota has room for, and of "
        "several processes twice their part of it at most.",
    )
    queue_rows: Count = Field(1024, description="Rows that may wait; beyond it requests are refused (429).")
    batch_rows: Annotated[int, Field(ge=1, le=65_536)] = Field(64, description="Rows of one request at most (422).")
    state_bytes: Bytes = Field(ByteSize(1024**3), description="Memory for the state of all rows in flight (429).")
    model_bytes: Bytes = Field(
        ByteSize(4 * 1024**3), description="Memory for all loaded bundles; the least recently used is unloaded."
    )
    body_bytes: Bytes = Field(ByteSize(32 * 1024**2), description="Bytes of one request's body at most (413).")
    body_timeout_s: Seconds = Field(10.0, description="Seconds that a request's body may take to arrive (408).")
    head_timeout_s: Seconds = Field(10.0, description="Seconds that a request's head may take to arrive.")
    image_pixels: Annotated[int, Field(ge=1, le=2**31)] = Field(
        40_000_000, description="Pixels of one picture at most, found before it is decoded (422)."
    )
    heartbeat_s: Seconds = Field(15.0, description="Seconds of silence in a stream after which a comment is sent.")
    drain_s: Annotated[float, Field(ge=0.0, le=3600.0)] = Field(
        10.0, description="Seconds that requests in flight get to end at shutdown."
    )
    poll_s: Seconds = Field(1.0, description="Seconds between two looks at the store.")
    warmup_s: Annotated[float, Field(ge=0.0, le=600.0)] = Field(
        0.5, description="Seconds of warm-up runs that a bundle gets before it is served."
    )
    default_policy: Annotated[dict[str, JsonValue], BeforeValidator(_json), AfterValidator(_followable)] = Field(
        default_factory=dict, description="Policy below every bundle's own default; JSON, or a table in the file."
    )
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_split)] = Field(
        (), description="Origins whose pages may call (`https://a.example`, or `*`); none: CORS is off."
    )
    api_keys: Annotated[tuple[KeyHash, ...], BeforeValidator(_split)] = Field(
        (), description="SHA-256 of each API key in hexadecimal (`printf %s KEY | sha256sum`); none: no key is asked."
    )
    api_keys_file: Path | None = Field(None, description="A file with further hashes, one per line; `#` comments.")
    allow_anonymous: bool = Field(False, description="Serve other machines although no API key is configured.")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="What is logged at least: `debug`, `info`, `warning` or `error`."
    )
    log_format: Annotated[Literal["json", "text"], BeforeValidator(_lower)] = Field(
        "json", description="How it is logged: `json`, one object per line, or `text`."
    )

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if not (self.api_keys or self.allow_anonymous or is_loopback(self.host)):
            raise ValueError(
                f"host is {self.host!r}, which other machines can reach, and no API key is configured; "
                "give api_keys, listen on 127.0.0.1, or set allow_anonymous = true to serve everybody"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; a name other than ``localhost`` may be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def flag(name: str) -> str:
    """``--body-bytes``"""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """``ANYTIME_BODY_BYTES``"""
    return ENVIRONMENT + name.upper()


def default_text(name: str) -> str:
    """A setting's default as people write it."""
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return {"workers": "the CPU quota"}.get(name, "none")
    value = field.default
    if isinstance(value, ByteSize):
        return value.human_readable(separator=" ").replace(".0 ", " ")
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None or value == () else str(value)


def settings_table() -> str:
    """The settings as a Markdown table."""
    rows = ["| setting | flag | environment | default | what it does |", "| --- | --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        description = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | `{flag(name)}` | `{variable(name)}` | {default_text(name)} | {description} |")
    return "\n".join(rows) + "\n"
