"""Tests of the entry point."""

import subprocess
import sys
import types

import pytest

from anytime.cli import main
from anytime.model_store.errors import UnknownModel
from anytime.policy import PolicyOutOfRange


@pytest.fixture
def command(monkeypatch):
    """Calls the entry point with a table of one sub-command, ``probe``, that does what the test scripts."""

    def call(run, *argv):
        module = types.ModuleType("anytime.cli.probe")
        module.NAME, module.HELP, module.run = "probe", "look", run
        module.add_arguments = lambda parser: parser.add_argument("--depth", type=int, default=1)
        monkeypatch.setitem(sys.modules, "anytime.cli.probe", module)
        return main.main(argv, ("probe",))

    return call


def python(*lines):
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout


def test_help_loads_nothing_heavy():
    """``anytime --help`` lists every sub-command without importing a runtime, a framework or NumPy."""
    said = python(
        "import sys",
        "from anytime.cli.main import COMMANDS, main",
        "try: main(['--help'])",
        "except SystemExit: pass",
        "print({'torch', 'onnx', 'onnxruntime', 'numpy', 'httpx', 'rich'} & sys.modules.keys())",
    )
    assert said.endswith("set()\n")
    assert all(f"    {name} " in said for name in main.COMMANDS)


def test_only_the_asked_module_is_loaded():
    """A sub-command's help loads that sub-command alone."""
    said = python(
        "import sys",
        "from anytime.cli.main import main",
        "try: main(['predict', '--help'])",
        "except SystemExit: pass",
        "print(sorted(name for name in sys.modules if name.startswith('anytime.')))",
    )
    assert said.endswith("['anytime.cli', 'anytime.cli.main', 'anytime.cli.predict']\n")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help(name, capsys):
    """Each sub-command of the table exists and can print its help."""
    with pytest.raises(SystemExit) as ended:
        main.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: anytime {name}" in capsys.readouterr().out


def test_arguments_and_status(command):
    """A sub-command gets its arguments, and its status is the program's."""
    assert command(lambda args: args.depth, "probe", "--depth", "7") == 7


@pytest.mark.parametrize(
    "error",
    [UnknownModel("no model 'x'"), PolicyOutOfRange("min_exit", "too deep"), FileNotFoundError(2, "No such file", "x")],
)
def test_what_a_user_can_mend_is_one_line(command, capsys, error):
    """Our own errors and the system's become one line on standard error and status 2."""

    def run(args):
        raise error

    assert command(run, "probe") == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"anytime: {error}\n")


def test_a_defect_keeps_its_trace(command):
    """An error that is nobody's message is not hidden."""

    def run(args):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command(run, "probe")


def test_interrupt(command):
    """Ctrl-C ends with 130, without a trace."""

    def run(args):
        raise KeyboardInterrupt

    assert command(run, "probe") == 130


@pytest.mark.parametrize("argv", [[], ["paint"], ["--paint"], ["probe", "--depth", "x"]])
def test_misuse(command, capsys, argv):
    """No sub-command, an unknown one, a bad argument: usage and status 2."""
    with pytest.raises(SystemExit) as ended:
        command(lambda args: 0, *argv)
    assert ended.value.code == 2
    assert "usage: anytime" in capsys.readouterr().err


def test_a_reader_that_left_is_no_defect():
    """Output into a closed pipe ends quietly: `anytime ... | head -1`."""
    script = "import sys; from anytime.cli.main import main; sys.exit(main(['models', 'list', '--store', '/nowhere']))"
    read = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    read.stdout.close()
    errors = read.stderr.read()
    read.stderr.close()
    assert read.wait() == 2
    assert b"Traceback" not in errors
