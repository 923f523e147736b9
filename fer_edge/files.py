"""Files are written whole or not at all, and are known by their SHA-256 digest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from fer_edge.errors import OutputError, UsageError

__all__ = [
    "atomic_path",
    "check_folder_target",
    "ensure_writable_target",
    "partial_path",
    "put_in_place",
    "replace_folder",
    "sha256_hex",
    "sha256_of_file",
    "write_bytes",
    "write_text",
]

_CHUNK_BYTES = 1 << 20


def sha256_hex(data: bytes | memoryview) -> str:
    """Return the SHA-256 digest of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 digest of a file, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def ensure_writable_target(path: Path, *, force: bool, kind: Literal["file", "folder"] = "file") -> None:
    """Check, before any long work, that `path` may be written.

    Raises:
        UsageError: it exists and `force` is false, or it is a folder where a file is to be written, or the other way.
        OutputError: its name is too long, its folder does not exist or cannot be written to.
    """
    _check_name(path, kind)
    # A link to nowhere exists too: it would be replaced.
    exists, is_folder = path.exists() or path.is_symlink(), path.is_dir()
    if kind == "file" and is_folder:
        raise UsageError(f"{path} is a folder; expected the name of a file")
    if kind == "folder" and exists and not is_folder:
        raise UsageError(f"{path} is not a folder; expected the name of a folder")
    if exists and not force:
        raise UsageError(f"{path} exists already; choose another name or add --force to replace it")
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to create files in {parent}")


def _check_name(path: Path, kind: Literal["file", "folder"]) -> None:
    """Ask the file system about the longest name that writing `path` will use."""
    try:
        if path.name:
            (partial_path(path) if kind == "file" else _aside_path(path)).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def check_folder_target(path: Path, *, force: bool, marker: str) -> None:
    """Check, before any long work, that a folder may be made at `path` or, with `force`, replaced.

    Args:
        path: the folder to make.
        force: whether to replace it.
        marker: name of the file by which a folder of that kind is known; only such a folder, or an empty one, is
            replaced.

    Raises:
        UsageError: it exists without `force` or is no such folder, or has no name.
        OutputError: its name is too long, its parent does not exist or cannot be written to.
    """
    if path.name in ("", ".."):
        raise UsageError(f"{path}: expected a folder with a name of its own")
    ensure_writable_target(path, force=force, kind="folder")
    if path.is_symlink():
        raise UsageError(f"{path}: expected a folder or nothing, found a link; choose another name")
    try:
        is_other = path.is_dir() and any(path.iterdir()) and not (path / marker).is_file()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    if is_other:
        raise UsageError(
            f"{path}: --force replaces a folder with {marker}, found one without it; choose another name or empty it"
        )


def partial_path(path: Path) -> Path:
    """Return the name beside `path` for a file that is not whole yet; by its suffix encoders choose the format."""
    return path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")


def put_in_place(temporary: Path, path: Path) -> None:
    """Sync a file that is complete and rename it to `path`.

    Raises:
        OutputError: it cannot be synced or renamed.
    """
    try:
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success sync it and rename it into place, on failure remove it.

    Raises:
        OutputError: the file cannot be created, written or renamed.
    """
    temporary = partial_path(path)
    try:
        try:
            yield temporary
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        put_in_place(temporary, path)
    finally:
        # Where it could not be made, e.g. below a file, removing it fails as well: the first error is the one to tell.
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def replace_folder(staging: Path, target: Path) -> None:
    """Rename `staging` to `target`; a folder that was there steps aside first and comes back where that fails.

    Where an earlier process ended between the two renames, the folder that stepped aside is the only copy of the old
    one: it is removed only when `target` is in place.

    Raises:
        OutputError: the folder cannot be put in place.
    """
    aside = _aside_path(target)
    try:
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
            target.replace(aside)
        try:
            staging.replace(target)
        except OSError:
            if aside.exists() and not target.exists():
                aside.replace(target)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    shutil.rmtree(aside, ignore_errors=True)


def _aside_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")
