"""Tests of where settings come from."""

import argparse
import os
import re
from pathlib import Path

import pytest

from anytime.service.configuration import CONFIG, OTHERS, SettingsError, add_flags, load_settings
from anytime.service.settings import Settings, variable
from tests.source_tree import ROOT


def load(argv=(), environ=None):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return load_settings(parser.parse_args(argv), environ or {})


@pytest.fixture
def toml(tmp_path):
    """Writes a settings file and returns its path."""

    def write(text):
        path = tmp_path / "anytime.toml"
        path.write_text(text)
        return str(path)

    return write


def test_flags_over_environment_over_file(toml):
    """Each layer gives what the one above it does not."""
    path = toml("port = 1\nqueue_rows = 1\nbatch_rows = 1\n[default_policy]\nconfidence = 0.9\n")
    environ = {"ANYTIME_CONFIG": path, "ANYTIME_PORT": "2", "ANYTIME_QUEUE_ROWS": "2", "PATH": "/bin"}
    settings = load(["--port", "3"], environ)
    assert (settings.port, settings.queue_rows, settings.batch_rows) == (3, 2, 1)
    assert settings.default_policy == {"confidence": 0.9}
    assert load(["--config", path]).port == 1


def test_every_setting_has_a_flag_and_a_variable():
    """Whatever has a default can be given it by flag and by environment variable."""
    values = {name: str(value) for name, value in Settings().model_dump(exclude={"workers"}, mode="json").items()
              if isinstance(value, str | int | float) and not isinstance(value, bool)}  # fmt: skip
    flags = [word for name, value in values.items() for word in ("--" + name.replace("_", "-"), value)]
    assert load(flags).model_dump() == load((), {f"ANYTIME_{n.upper()}": v for n, v in values.items()}).model_dump()
    assert load(["--allow-anonymous"]).allow_anonymous
    assert not load(["--no-allow-anonymous"], {"ANYTIME_ALLOW_ANONYMOUS": "true"}).allow_anonymous


def test_every_variable_of_ours_is_known():
    """Whatever the repository reads, sets or tells of by a name of the prefix is a setting or is let be."""
    made_up = {"ANYTIME_PROT", "ANYTIME_SERVICE_", "ANYTIME_SERVICE_HOST"}
    used = {name for text in texts() for name in re.findall(r"\bANYTIME_[A-Z][A-Z_]*", text)} - made_up
    assert used >= {"ANYTIME_SYSTEM_PROGRAMS", "ANYTIME_MODELS", "ANYTIME_TEST_IMAGE", "ANYTIME_PORT"}
    assert used <= {*OTHERS, *map(variable, Settings.model_fields)}
    assert load((), dict.fromkeys(set(OTHERS) - {CONFIG}, "no")) == Settings()


def texts():
    """The repository's own files, but for what is hidden or built."""
    built = {"__pycache__", "build", "dist"}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in built]
        for name in files:
            yield (Path(folder) / name).read_text(errors="replace")


def test_other_variables_are_let_be():
    """Variables of the prefix that belong to other parts are no error; nor is an empty ANYTIME_CONFIG."""
    assert load((), {"ANYTIME_DATA": "x", "ANYTIME_CONFIG": "", "ANYTIME_STORE": "s"}).store.name == "s"


@pytest.mark.parametrize(
    ("argv", "environ", "says"),
    [
        (["--port", "x"], {}, "the setting 'port' from the flag --port is 'x': it should be a valid integer"),
        ([], {"ANYTIME_PORT": "99999"}, "from the environment variable ANYTIME_PORT is '99999': it should be less"),
        ([], {"ANYTIME_PORT": ""}, "ANYTIME_PORT is '': it should be a valid integer"),
        ([], {"ANYTIME_PROT": "1"}, "ANYTIME_PROT is no setting; did you mean 'ANYTIME_PORT'"),
        ([], {"ANYTIME_port": "1"}, "ANYTIME_port is no setting; did you mean"),
        ([], {"ANYTIME_DEFAULT_POLICY": '{"confidense": 1}'}, "did you mean 'confidence'"),
        ([], {"ANYTIME_DEFAULT_POLICY": "{"}, "it should be a JSON object"),
        ([], {"ANYTIME_HOST": "0.0.0.0"}, "allow_anonymous = true .*the environment variable ANYTIME_HOST"),
        ([], {"ANYTIME_PORT": "tcp://10.0.0.1:80"}, "enableServiceLinks: false"),
        ([], {"ANYTIME_SERVICE_HOST": "10.0.0.1"}, "enableServiceLinks: false"),
        (["--config", "/nowhere/x.toml"], {}, "the settings file /nowhere/x.toml cannot be read"),
        (["--api-keys-file", "/nowhere/keys"], {}, "'api_keys_file' from the flag --api-keys-file cannot be read"),
    ],
)
def test_bad_settings_stop_the_start(argv, environ, says):
    """The message names the setting, where it came from, what was wanted, and the nearest known name."""
    with pytest.raises(SettingsError, match=says):
        load(argv, environ)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "'prot' in .*anytime.toml is no setting; did you mean 'port'"),
        ("port = 'x'", "'port' from .*anytime.toml is 'x'"),
        ("port =", "is not TOML"),
        ("[default_policy]\nconfidence = 3", "should be less than or equal to 1"),
    ],
)
def test_bad_files_stop_the_start(toml, text, says):
    """A bad file is named, with the key."""
    with pytest.raises(SettingsError, match=says):
        load(["--config", toml(text)])


def test_keys_from_a_file(tmp_path):
    """Hashes from a file are added to those given directly; comments and blank lines are skipped."""
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{'ab' * 32}  # alice\n\n{'cd' * 32}\n")
    assert load(["--api-keys-file", str(file)]).api_keys == ("ab" * 32, "cd" * 32)
    both = load(["--api-keys-file", str(file)], {"ANYTIME_API_KEYS": "ef" * 32, "ANYTIME_HOST": "0.0.0.0"})
    assert both.api_keys == ("ef" * 32, "ab" * 32, "cd" * 32)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_file_without_keys(tmp_path, text):
    """A key file without a key is an error: it would leave the door open."""
    (tmp_path / "keys").write_text(text)
    with pytest.raises(SettingsError, match="holds no key"):
        load(["--api-keys-file", str(tmp_path / "keys")])


def test_a_key_given_for_its_hash_does_not_show(tmp_path):
    """Somebody who gives a key itself is told how to hash it, and the key is not repeated."""
    (tmp_path / "keys").write_text("hunter2\n")
    with pytest.raises(SettingsError, match="sha256sum") as refused:
        load(["--api-keys-file", str(tmp_path / "keys")])
    assert "hunter2" not in str(refused.value)
