"""The command that made a record, as it was typed but for somebody's folders."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

__all__ = ["typed_command"]


def typed_command() -> str:
    """Return this process's command with the folders of files left out: a record names files, not somebody's disk."""
    return shlex.join(["fer-edge", *(_without_folders(word) for word in sys.argv[1:])])


def _without_folders(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    # A data set may be named in front of its path: raf-db:/data/raf. A word may be too long for a path, which os.path
    # takes for one that is not there.
    name, colon, path = value.partition(":") if not os.path.exists(value) else ("", "", value)  # noqa: PTH110
    if not colon:
        name, path = "", value
    if "/" in path and (Path(path).is_absolute() or ".." in Path(path).parts or os.path.isfile(path)):  # noqa: PTH113
        path = Path(path).name
    return f"{option}{equals}{name}{colon}{path}"
