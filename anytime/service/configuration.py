"""Where settings come from: flags over environment variables over a TOML file. What is unknown or bad stops the start,
with a message that says where it stood.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ByteSize, ValidationError

from anytime.model_store.nearest import nearest
from anytime.service.settings import ENVIRONMENT, Settings, default_text, flag, variable

CONFIG = "ANYTIME_CONFIG"
OTHERS = (CONFIG, "ANYTIME_DATA", "ANYTIME_MODELS", "ANYTIME_SYSTEM_PROGRAMS", "ANYTIME_TEST_IMAGE")
"""Variables of that prefix that are no settings of the service: of data sets, of the compose file, of the tests."""

_SECRET = ("api_keys",)
_SERVICE_LINKS = ("tcp://", "udp://")


class SettingsError(ValueError):
    """Settings that the service cannot start with."""

    code = "bad_settings"


@dataclass(frozen=True, slots=True)
class _Given:
    name: str
    value: Any
    origin: str
    """``the flag --port``, ``the environment variable ANYTIME_PORT``, ``anytime.toml``"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting, and ``--config``."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"a TOML file of settings (also {CONFIG})")
    group = parser.add_argument_group("settings", "flags outrank environment variables, and those the file")
    for name, field in Settings.model_fields.items():
        text = f"{field.description} Default: {default_text(name)}. ({variable(name)})".replace("%", "%%")
        if field.annotation is bool:
            group.add_argument(flag(name), dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            group.add_argument(flag(name), dest=name, metavar=_metavar(name), help=text)


def load_settings(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """The settings of this start. ``args``: what a parser with ``add_flags`` made. Raises ``SettingsError``."""
    config = getattr(args, "config", None) or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    given: dict[str, _Given] = {}
    for layer in (_from_file(config), _from_environment(environ), _from_flags(args)):
        given |= {one.name: one for one in layer}
    if "api_keys_file" in given:
        _add_keys(given)
    try:
        return Settings.model_validate({name: one.value for name, one in given.items()})
    except ValidationError as error:
        raise _refused(error, given) from error


def _from_flags(args: argparse.Namespace) -> Iterator[_Given]:
    for name in Settings.model_fields:
        value = getattr(args, name, None)
        if value is not None:
            yield _Given(name, value, f"the flag {flag(name)}")


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    known = {variable(name): name for name in Settings.model_fields}
    for key, value in environ.items():
        if not key.startswith(ENVIRONMENT) or key in OTHERS:
            continue
        origin = f"the environment variable {key}"
        if value.startswith(_SERVICE_LINKS) or key.startswith("ANYTIME_SERVICE_"):
            raise SettingsError(
                f"{origin} is no setting: Kubernetes sets it for a Service named 'anytime'; "
                "put enableServiceLinks: false into the pod's spec, or rename the Service"
            )
        if key not in known:
            raise SettingsError(f"{origin} is no setting; {nearest(key, known)}")
        yield _Given(known[key], value, origin)


def _from_file(config: Path | None) -> Iterator[_Given]:
    if config is None:
        return
    try:
        table = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {config} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingsError(f"the settings file {config} is not TOML: {error}") from error
    for name, value in table.items():
        if name not in Settings.model_fields:
            raise SettingsError(f"{name!r} in {config} is no setting; {nearest(name, Settings.model_fields)}")
        yield _Given(name, value, str(config))


def _add_keys(given: dict[str, _Given]) -> None:
    """The hashes in the file, after those given directly."""
    file = given["api_keys_file"]
    try:
        text = Path(file.value).read_text(encoding="utf-8")
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"the setting 'api_keys_file' from {file.origin} cannot be read: {error}") from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    hashes = [line for line in lines if line]
    if not hashes:
        raise SettingsError(f"the API key file {file.value} holds no key; wanted one SHA-256 in hexadecimal per line")
    direct = given.get("api_keys")
    before = (
        direct.value.split(",") if direct and isinstance(direct.value, str) else list(direct.value if direct else ())
    )
    origin = f"{direct.origin} and {file.value}" if direct else str(file.value)
    given["api_keys"] = _Given("api_keys", [*before, *hashes], origin)


def _refused(error: ValidationError, given: Mapping[str, _Given]) -> SettingsError:
    fault = error.errors(include_url=False)[0]
    wanted = fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if not fault["loc"]:
        host = given["host"].origin if "host" in given else "its default"
        return SettingsError(f"{wanted} (host comes from {host})")
    one = given[str(fault["loc"][0])]
    got = f"is {one.value!r:.80}"
    if one.name in _SECRET:  # somebody may have given a key itself: it must not end up in a log
        got = "is no list of hashes"
        wanted = "wanted the SHA-256 of each key, 64 hexadecimal digits (printf %s KEY | sha256sum)"
    return SettingsError(f"the setting {one.name!r} from {one.origin} {got}: {wanted}")


def _metavar(name: str) -> str:
    kind = Settings.model_fields[name].annotation
    return {int: "N", float: "SECONDS", ByteSize: "SIZE", Path: "PATH"}.get(kind, "VALUE")  # type: ignore[arg-type]
