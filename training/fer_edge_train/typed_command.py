"""The command that made a record, as it was typed but for somebody's folders."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

__all__ = ["typed_command"]


def typed_command() -> str:
    """Return this process's command with the folders of files left out: a record names files, not somebody's disk."""
    return shlex.join(["fer-edge", *(_without_folders(word) for word in sys.argv[1:])])


def _without_folders(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if "/" in value and (Path(value).is_absolute() or Path(value).is_file()):
        value = Path(value).name
    return f"{option}{equals}{value}"
