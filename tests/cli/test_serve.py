"""Tests of ``anytime serve`` up to the start; what it then does is tested with the service."""

import pytest

from anytime.cli import main
from anytime.service.settings import Settings


def test_help_names_every_setting(capsys):
    """``anytime serve --help`` lists a flag and a variable for every setting."""
    with pytest.raises(SystemExit):
        main.main(["serve", "--help"])
    said = capsys.readouterr().out
    assert all(
        f"--{name.replace('_', '-')}" in said and f"ANYTIME_{name.upper()}" in said for name in Settings.model_fields
    )


@pytest.mark.parametrize(
    ("words", "environ", "says"),
    [
        (["--port", "x"], {}, "anytime: the setting 'port' from the flag --port is 'x'"),
        ([], {"ANYTIME_PROT": "1"}, "anytime: the environment variable ANYTIME_PROT is no setting; did you mean"),
        (["--host", "0.0.0.0"], {}, "allow_anonymous = true"),
    ],
)
def test_bad_settings_do_not_start(monkeypatch, capsys, words, environ, says):
    """A bad setting is one line on standard error and status 2."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main.main(["serve", *words]) == 2
    assert says in capsys.readouterr().err
