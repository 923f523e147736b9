"""Files are written whole or not at all, and are known by their SHA-256 digest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_edge.errors import OutputError, UsageError

__all__ = [
    "atomic_path",
    "ensure_writable_target",
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


def ensure_writable_target(path: Path, *, force: bool) -> None:
    """Check, before any long work, that `path` may be written.

    Raises:
        UsageError: it exists and `force` is false.
        OutputError: its folder does not exist or cannot be written to.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; choose another name or add --force to replace it")
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to create files in {parent}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success sync it and rename it into place, on failure remove it.

    Raises:
        OutputError: the file cannot be created, written or renamed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
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
    aside = target.with_name(f".{target.name}.replaced")
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
