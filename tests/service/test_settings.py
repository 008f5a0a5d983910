"""Tests of the settings' fields."""

import pytest
from pydantic import ValidationError

from anytime.service.settings import Settings, is_loopback, settings_table


def test_defaults():
    """Without anything given the service listens on the loopback, asks for no key, and has workers."""
    settings = Settings()
    assert (settings.host, settings.port, settings.api_keys, settings.cors_origins) == ("127.0.0.1", 8000, (), ())
    assert settings.workers >= 1


def test_workers_share_the_cpus():
    """With more threads inside a run there are fewer workers by default, at least one."""
    assert Settings(intra_op_threads=1024).workers == 1


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 256])
def test_workers_of_several_processes(processes):
    """Each has as many as one alone would, but no more than twice its part of the CPUs, and one at least."""
    cpus = Settings().workers
    workers = Settings(processes=processes).workers
    assert 1 <= workers <= cpus
    assert workers == cpus or (workers - 1) * processes < 2 * cpus <= workers * processes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536), ("port", -1), ("workers", 0), ("processes", 0), ("queue_rows", 0), ("batch_rows", 0),
        ("body_bytes", 10), ("body_timeout_s", 0), ("heartbeat_s", float("inf")), ("drain_s", -1),
        ("cors_origins", "a.example"),
        ("cors_origins", "https://a.example/path"), ("api_keys", "secret"), ("log_level", "loud"),
        ("log_format", "xml"), ("default_policy", {"confidence": 2}), ("default_policy", "[1]"), ("host", ""),
        ("default_policy", {"exact": True, "patience": 1}), ("surprise", 1),
    ],
)  # fmt: skip
def test_bad_values(name, value):
    """What is out of range, misspelt or unknown is refused."""
    with pytest.raises(ValidationError):
        Settings.model_validate({name: value})


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("body_bytes", "64 MiB", 64 * 1024**2),
        ("body_bytes", 2048, 2048),
        ("port", "0", 0),
        ("cors_origins", "https://a.example, http://b:80", ("https://a.example", "http://b:80")),
        ("cors_origins", ["*"], ("*",)),
        ("api_keys", "AB" * 32, ("ab" * 32,)),
        ("default_policy", '{"confidence": 0.9}', {"confidence": 0.9}),
        ("log_level", "WARNING", "warning"),
        ("allow_anonymous", "true", True),
    ],
)
def test_spellings(name, value, read):
    """Sizes take units, lists commas, tables JSON, as the environment and flags write them."""
    assert getattr(Settings.model_validate({name: value}), name) == read


def test_frozen():
    """Settings do not change after the start."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize("more", [{}, {"api_keys": ()}, {"allow_anonymous": False}])
def test_strangers_need_a_key(more):
    """An address that other machines can reach without any key is refused, and the message says what to do."""
    with pytest.raises(ValidationError, match="allow_anonymous = true"):
        Settings(host="0.0.0.0", **more)


@pytest.mark.parametrize("more", [{"api_keys": ("ab" * 32,)}, {"allow_anonymous": True}])
def test_strangers_with_a_key(more):
    """A key, or saying that anybody may call, opens any address."""
    assert Settings(host="0.0.0.0", **more).host == "0.0.0.0"


def test_keys_do_not_show():
    """A refused key is not in the message: somebody may have given the key itself."""
    with pytest.raises(ValidationError) as refused:
        Settings(api_keys=("hunter2",))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_is_loopback(host, loopback):
    """Only the loopback is the loopback; a name may be anything."""
    assert is_loopback(host) is loopback


def test_table():
    """The docs' table has a line for each setting, with flag, variable, default and words."""
    lines = settings_table().splitlines()
    assert len(lines) == 2 + len(Settings.model_fields)
    assert "| `body_bytes` | `--body-bytes` | `ANYTIME_BODY_BYTES` | 32 MiB |" in settings_table()
    assert all(line.count("|") - line.count("\\|") == 6 for line in lines)
    assert all(field.description for field in Settings.model_fields.values())
