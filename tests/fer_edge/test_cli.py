from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import types

import pytest
from runtime_support import run_cli, run_python

from fer_edge import __version__, cli, errors
from fer_edge.command import Command

COMMANDS = sorted(point.name for point in importlib.metadata.entry_points(group="fer_edge.commands"))


@pytest.fixture
def command(monkeypatch):
    """Function that makes `fer-edge fake` run a function, and `fer-edge other` name a module that is not there."""

    def register(run, configure=lambda parser: None):
        made = Command(summary="a command of the tests", configure=configure, run=run)
        monkeypatch.setitem(sys.modules, "fake_command", types.SimpleNamespace(COMMAND=made))
        points = [
            importlib.metadata.EntryPoint(name, f"{module}:COMMAND", "fer_edge.commands")
            for name, module in (("fake", "fake_command"), ("other", "no_such_module"))
        ]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
        monkeypatch.delenv("FER_EDGE_DEBUG", raising=False)

    return register


def raiser(error):
    def run(arguments):
        raise error

    return run


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_every_command_with_its_summary(capsys, word):
    assert cli.main([word]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"fer-edge {__version__}: facial-expression models for cameras\n\nusage: fer-edge COMMAND")
    listed = [line.split()[0] for line in out.splitlines()[4:]]
    assert sorted(listed) == COMMANDS
    assert listed[0] == "run"
    assert err == ""


def test_no_command_is_a_wrong_command_line(capsys):
    assert cli.main([]) == 2
    assert "usage: fer-edge COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(capsys, word):
    assert cli.main([word]) == 0
    assert capsys.readouterr().out == f"fer-edge {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_summary_is_the_one_in_the_help(name):
    (point,) = importlib.metadata.entry_points(group="fer_edge.commands", name=name)
    assert point.load().summary == cli._SUMMARIES[name]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        pytest.param("rnu", "did you mean run?", id="near"),
        pytest.param("trian", "did you mean train?", id="near another"),
        pytest.param("xyzzy", "commands: run, bulk, train, ", id="far"),
        pytest.param("--verbose", "commands: run, bulk, train, ", id="an option"),
    ],
)
def test_an_unknown_command(capsys, word, hint):
    assert cli.main([word]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fer-edge: error: there is no command {word!r}; {hint}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_is_one_line_and_its_exit_code(capsys, command, name):
    kind = getattr(errors, name)
    command(raiser(kind("expected this, found that")))
    assert cli.main(["fake"]) == kind.exit_code
    assert capsys.readouterr() == ("", "fer-edge: error: expected this, found that\n")


def test_the_debug_switch_shows_the_traceback(command, monkeypatch):
    command(raiser(errors.InputError("a message")))
    monkeypatch.setenv("FER_EDGE_DEBUG", "1")
    with pytest.raises(errors.InputError, match="a message"):
        cli.main(["fake"])


@pytest.mark.parametrize("value", ["", "0"])
def test_the_debug_switch_is_off(command, monkeypatch, value):
    command(raiser(errors.InputError("a message")))
    monkeypatch.setenv("FER_EDGE_DEBUG", value)
    assert cli.main(["fake"]) == 1


def test_an_error_of_another_kind_is_a_fault_of_ours_and_shows(command):
    command(raiser(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["fake"])


def test_ctrl_c(capsys, command):
    command(raiser(KeyboardInterrupt()))
    assert cli.main(["fake"]) == 130
    assert capsys.readouterr() == ("", "")


def test_arguments_and_exit_code_pass_through(command):
    seen = []

    def configure(parser):
        parser.add_argument("--number", type=int)

    def run(arguments):
        seen.append(arguments.number)
        return 5

    command(run, configure)
    assert cli.main(["fake", "--number", "3"]) == 5
    assert seen == [3]


@pytest.fixture
def command_with_action(monkeypatch):
    """`fer-edge fake [WORD]` and `fer-edge fake weigh --kg N`; the words each of them got."""
    seen = []
    weigh = Command(
        summary="weigh it",
        configure=lambda parser: parser.add_argument("--kg", type=int),
        run=lambda arguments: seen.append(("weigh", arguments.kg)) or 0,
    )
    made = Command(
        summary="a command with an action",
        configure=lambda parser: parser.add_argument("word", nargs="?"),
        run=lambda arguments: seen.append(("fake", arguments.word)) or 0,
        actions={"weigh": weigh},
    )
    monkeypatch.setitem(sys.modules, "fake_command", types.SimpleNamespace(COMMAND=made))
    point = importlib.metadata.EntryPoint("fake", "fake_command:COMMAND", "fer_edge.commands")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    return seen


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], ("fake", None), id="alone"),
        pytest.param(["bundle"], ("fake", "bundle"), id="a word of its own"),
        pytest.param(["./weigh"], ("fake", "./weigh"), id="a folder of the action's name"),
        pytest.param(["weigh", "--kg", "3"], ("weigh", 3), id="action"),
    ],
)
def test_a_first_word_may_name_an_action(command_with_action, words, expected):
    assert cli.main(["fake", *words]) == 0
    assert command_with_action == [expected]


def test_the_help_names_the_actions(command_with_action, capsys):
    with pytest.raises(SystemExit):
        cli.main(["fake", "--help"])
    assert "see also:\n  fer-edge fake weigh" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["fake", "weigh", "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: fer-edge fake weigh")
    assert "see also" not in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["fake", "--numb", "3"], "unrecognized arguments: --numb 3", id="abbreviated"),
        pytest.param(["fake", "--number", "three"], "argument --number: invalid int value: 'three'", id="no number"),
    ],
)
def test_wrong_options(capsys, command, words, message):
    command(lambda arguments: 0, lambda parser: parser.add_argument("--number", type=int))
    with pytest.raises(SystemExit) as raised:
        cli.main(words)
    assert raised.value.code == 2
    assert capsys.readouterr().err.endswith(f"fer-edge fake: error: {message}\n")


def test_a_command_whose_packages_are_not_installed(capsys, command):
    command(lambda arguments: 0)
    assert cli.main(["other"]) == 3
    assert capsys.readouterr().err == (
        'fer-edge: error: "fer-edge other" needs no_such_module, which is not installed; pip install "fer-edge[all]"\n'
    )


def write_fake_command(tmp_path):
    """Install a command `fake` that prints much into a folder, and return the start of a command line that finds it."""
    (tmp_path / "fake_command.py").write_text(
        "from fer_edge.command import Command\n"
        "def run(arguments):\n"
        "    for number in range(100000):\n"
        "        print(number)\n"
        "    return 0\n"
        "COMMAND = Command(summary='', configure=lambda parser: None, run=run)\n",
        encoding="utf-8",
    )
    info = tmp_path / "fake-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[fer_edge.commands]\nfake = fake_command:COMMAND\n", encoding="utf-8")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from fer_edge.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, str(tmp_path)]


every_way_to_print = pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["run", "--help"], ["fake"]],
    ids=["--help", "--version", "help of a command", "a command"],
)
# Unbuffered, the first write fails and not the last flush; argparse would swallow that.
buffered_or_not = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


@every_way_to_print
@buffered_or_not
def test_a_reader_that_has_gone(tmp_path, words, unbuffered):
    with subprocess.Popen(
        [*write_fake_command(tmp_path), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141
    assert err == b""


@every_way_to_print
@buffered_or_not
@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        pytest.param(">&-", "standard output is closed; open it, or send it away with >/dev/null", id="closed"),
        pytest.param(">/dev/full", "cannot write to standard output: No space left on device", id="full"),
    ],
)
def test_a_standard_output_that_takes_nothing(tmp_path, words, unbuffered, redirection, message):
    done = subprocess.run(
        f"{shlex.join([*write_fake_command(tmp_path), *words])} {redirection}",
        shell=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, f"fer-edge: error: {message}\n")


def test_an_oserror_that_is_not_of_standard_output_is_a_fault_of_ours_and_shows(command):
    command(raiser(BrokenPipeError(32, "of a process")))
    with pytest.raises(BrokenPipeError):
        cli.main(["fake"])


every_ending_signal = pytest.mark.parametrize(
    ("name", "code"), [pytest.param("SIGHUP", 129, id="SIGHUP"), pytest.param("SIGTERM", 143, id="SIGTERM")]
)


@every_ending_signal
@pytest.mark.parametrize("second", ["SIGHUP", "SIGTERM"])
def test_a_signal_cleans_up_once_and_ends_with_its_code(name, code, second):
    """In a process of its own: libraries that other tests loaded into this one have signal handlers of their own."""
    done = run_python(
        "import os, signal, sys\n"
        "from fer_edge import cli\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup\n"
        "def run(words):\n"
        "    try:\n"
        f"        os.kill(os.getpid(), signal.{name})\n"
        "    finally:\n"
        f"        os.kill(os.getpid(), signal.{second})  # as `timeout` does, to the process and to its group\n"
        "        print('cleaned', flush=True)\n"
        "cli._dispatch = run\n"
        "code = cli.main(['fake'])\n"
        "print(code, [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGHUP, signal.SIGTERM)])\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"cleaned\n{code} [True, True]\n", "")


@pytest.fixture(params=[signal.SIGHUP, signal.SIGTERM], ids=["SIGHUP", "SIGTERM"])
def ending_signal(request):
    """The signal, at first with the system's own way whatever the tests were started with."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_restored_after_a_command(command, ending_signal):
    seen = []
    command(lambda arguments: seen.append(signal.getsignal(ending_signal)) or 0)
    assert cli.main(["fake"]) == 0
    assert callable(seen[0])
    assert signal.getsignal(ending_signal) == signal.SIG_DFL


@pytest.mark.parametrize("handler", [signal.SIG_IGN, print], ids=["ignored, as by nohup", "handled"])
def test_a_program_that_has_its_own_way_with_a_signal_keeps_it(command, ending_signal, handler):
    seen = []
    command(lambda arguments: seen.append(signal.getsignal(ending_signal)) or 0)
    signal.signal(ending_signal, handler)
    assert cli.main(["fake"]) == 0
    assert (seen, signal.getsignal(ending_signal)) == ([handler], handler)


def test_a_thread_that_is_not_the_main_one_runs_commands_too(command):
    seen = []
    command(lambda arguments: 5)
    thread = threading.Thread(target=lambda: seen.append(cli.main(["fake"])))
    thread.start()
    thread.join()
    assert seen == [5]


@every_ending_signal
def test_a_process_ended_by_a_signal_leaves_no_partial_file(tmp_path, name, code):
    program = (
        "import pathlib, signal, sys, time, types\n"
        "from fer_edge import cli\n"
        "from fer_edge.files import atomic_path\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup\n"
        "def wait(words):\n"
        "    with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "        temporary.write_text('half')\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "cli._dispatch = wait\n"
        "sys.exit(cli.main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "result")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_on_request_in_a_process_of_its_own(tmp_path):
    words = ["run", str(tmp_path / "none.jpg")]
    plain, debug = run_cli(*words), run_cli(*words, FER_EDGE_DEBUG="1")
    assert plain.returncode == 1
    assert plain.stderr.startswith("fer-edge: error: ")
    assert plain.stderr.count("\n") == 1
    assert debug.returncode == 1
    assert debug.stderr.startswith("Traceback")
    assert "InputError" in debug.stderr.splitlines()[-1]


def test_python_m_fer_edge_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fer-edge {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_nothing_heavy(name):
    code = (
        "import json, sys\n"
        "from fer_edge.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    code = end.code\n"
        "heavy = ['cv2', 'tensorflow', 'keras', 'torch', 'jax', 'onnx', 'tf2onnx', 'onnxruntime', 'openvino', 'nncf',\n"
        "         'ai_edge_litert', 'matplotlib', 'rich']\n"
        "print()\n"
        "print(json.dumps([code, [name for name in heavy if name in sys.modules]]))\n"
    )
    done = run_python(code, name, "--help")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
    assert done.stdout.startswith(f"usage: fer-edge {name}")
