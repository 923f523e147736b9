"""What a part of fer-edge registers to become a subcommand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["Command", "tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A subcommand of `fer-edge`, named by its entry point in the group `fer_edge.commands`.

    Attributes:
        summary: one line for `--help`.
        configure: adds the arguments to a parser; imports nothing heavy.
        run: does the work and returns the exit code; raises FerEdgeError for what the user can mend.
        actions: commands that a first word of this name runs instead, e.g. `fer-edge bench compare`.
    """

    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    actions: Mapping[str, Command] = field(default_factory=dict)


def tell(line: str) -> None:
    """Write a line to standard error; what reports must not end because nobody can read it any more."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"fer-edge: {line}\n")
            sys.stderr.flush()
