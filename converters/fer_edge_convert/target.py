"""Where a folder may be written: a command replaces what a command of its kind made, and nothing else."""

from __future__ import annotations

from pathlib import Path

from fer_edge.errors import UsageError
from fer_edge.files import ensure_writable_target

__all__ = ["check_target_folder"]


def check_target_folder(path: Path, *, marker: str, force: bool) -> None:
    """Check, before any long work, that `path` may be made or, with `force`, replaced.

    Args:
        path: the folder to make.
        marker: name of the file by which a folder of that kind is known; only such a folder, or an empty one, is
            replaced.
        force: whether to replace it.

    Raises:
        UsageError: it exists without `force` or is no such folder, or has no name.
        OutputError: its parent does not exist or cannot be written to.
    """
    if path.name in ("", ".."):
        raise UsageError(f"{path}: expected a folder with a name of its own")
    ensure_writable_target(path, force=force)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UsageError(f"{path}: expected a folder or nothing, found a file or a link; choose another name")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).is_file():
        raise UsageError(
            f"{path}: --force replaces a folder with {marker}, found one without it; choose another name or empty it"
        )
