"""Every error that fer-edge raises on purpose.

    FerEdgeError                     exit code 1
    ├── InputError      (ValueError)         1   a picture, video, csv or record cannot be used
    ├── OutputError     (OSError)            1   a result cannot be written
    ├── EngineError     (RuntimeError)       1   an engine failed on a model it was given
    ├── UsageError      (ValueError)         2   options contradict each other or name what does not exist
    ├── MissingExtraError (ImportError)      3   an optional package is not installed
    ├── IntegrityError  (ValueError)         4   a bundle is not what its manifest says
    └── GateError       (RuntimeError)       5   a measured accuracy or latency misses what was asked for

Each has a builtin as second base, so that code which never heard of fer-edge can catch it. A message states what was
wrong, what was expected, what was found, and what to do next, in one line.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "EngineError",
    "FerEdgeError",
    "GateError",
    "InputError",
    "IntegrityError",
    "MissingExtraError",
    "OutputError",
    "UsageError",
]


class FerEdgeError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1


class InputError(FerEdgeError, ValueError):
    """A picture, video, data set or record that was given cannot be used."""


class OutputError(FerEdgeError, OSError):
    """A result cannot be written where it was asked for."""


class EngineError(FerEdgeError, RuntimeError):
    """An engine failed on a model whose bytes were as expected."""


class UsageError(FerEdgeError, ValueError):
    """Options that contradict each other or name something that does not exist."""

    exit_code = 2


class MissingExtraError(FerEdgeError, ImportError):
    """An optional package is needed and not installed."""

    exit_code = 3


class IntegrityError(FerEdgeError, ValueError):
    """A bundle's contents differ from what its manifest promises."""

    exit_code = 4


class GateError(FerEdgeError, RuntimeError):
    """A measured figure misses the bound that was asked for."""

    exit_code = 5
