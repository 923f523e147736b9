"""Where a bundle's bytes lie: a folder, or one uncompressed .zip of it.

Every file is read once, whole, and compared with the manifest's length and SHA-256 before anything else sees it: a
flipped bit in a model file loads and runs in most cases, so no engine's own check can be relied on.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Protocol

from fer_edge.bundle.manifest import FileEntry, Manifest
from fer_edge.errors import InputError, IntegrityError
from fer_edge.files import sha256_hex

__all__ = ["MANIFEST_NAME", "Bundle", "default_bundle_path"]

MANIFEST_NAME = "manifest.json"
_MAX_MANIFEST_BYTES = 1024 * 1024


class _Store(Protocol):
    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a file's bytes, at most one more than `max_bytes` of them."""
        ...


class Bundle:
    """A bundle whose manifest was read; files are checked when they are asked for.

    Attributes:
        path: the folder or .zip.
        manifest: what the manifest says.
        manifest_bytes: the manifest's file, byte for byte.
    """

    def __init__(self, path: Path, manifest_bytes: bytes, manifest: Manifest, store: _Store) -> None:
        self.path = path
        self.manifest_bytes = manifest_bytes
        self.manifest = manifest
        self._store = store

    @classmethod
    def open(cls, path: Path | None = None) -> Bundle:
        """Open a folder or .zip, or the default bundle where `path` is None.

        Raises:
            InputError: there is nothing at `path`, or no manifest in it.
            IntegrityError: the archive or the manifest is damaged.
        """
        path = path or default_bundle_path()
        store = _store_at(path)
        raw = store.read(MANIFEST_NAME, _MAX_MANIFEST_BYTES)
        if len(raw) > _MAX_MANIFEST_BYTES:
            raise IntegrityError(f"{path}: {MANIFEST_NAME} is larger than {_MAX_MANIFEST_BYTES} bytes")
        try:
            manifest = Manifest.from_json(raw.decode())
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{path}: {MANIFEST_NAME} is not UTF-8 text; make the bundle again") from error
        except IntegrityError as error:
            raise IntegrityError(f"{path}: {error}") from error
        return cls(path, raw, manifest, store)

    def read(self, entry: FileEntry) -> bytes:
        """Return the bytes of one of the manifest's files, after checking length and digest.

        Raises:
            IntegrityError: the file is missing, or is not the one the manifest names.
        """
        try:
            data = self._store.read(entry.file, entry.bytes)
        except InputError as error:
            raise IntegrityError(f"{self.path}: {entry.file} is missing; expected {entry.bytes} bytes") from error
        if len(data) != entry.bytes:
            found = f"{len(data)}" if len(data) < entry.bytes else f"more than {entry.bytes}"
            raise IntegrityError(
                f"{self.path}: {entry.file}: expected {entry.bytes} bytes, found {found}; copy the bundle again"
            )
        digest = sha256_hex(data)
        if digest != entry.sha256:
            raise IntegrityError(
                f"{self.path}: {entry.file}: expected SHA-256 {entry.sha256[:16]}…, found {digest[:16]}…; "
                "the file is damaged or was changed, copy the bundle again"
            )
        return data

    def verify(self) -> int:
        """Check every file that the manifest names; return how many there are."""
        entries = self.manifest.files()
        for entry in entries:
            self.read(entry)
        return len(entries)


def default_bundle_path() -> Path:
    """Return the folder of the bundle that is installed with fer-edge."""
    return Path(__file__).resolve().parent.parent / "models" / "default"


def _store_at(path: Path) -> _Store:
    try:
        if path.is_dir():
            return _Folder(path)
        if path.is_file():
            return _Zip(path)
    except OSError as error:
        raise InputError(f"cannot read the bundle {path}: {error.strerror or error}") from error
    raise InputError(f"no bundle at {path}: expected a folder or .zip with {MANIFEST_NAME} inside")


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, max_bytes: int) -> bytes:
        path = self._path / name
        try:
            # Opening a pipe would wait for a writer that never comes.
            if path.exists() and not path.is_file():
                raise InputError(f"cannot read {path}: expected a file, found a folder, device or pipe")
            with path.open("rb") as file:
                return file.read(max_bytes + 1)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; expected a file of a bundle") from error


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, max_bytes: int) -> bytes:
        try:
            with zipfile.ZipFile(self._path) as archive:
                info = archive.getinfo(name)
                if info.compress_type != zipfile.ZIP_STORED:
                    raise IntegrityError(f"{self._path}: {name} is compressed; a bundle's archive must be stored as is")
                with archive.open(info) as file:
                    return file.read(max_bytes + 1)
        except KeyError as error:
            raise InputError(f"{self._path}: expected {name} inside, found no such entry") from error
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            if isinstance(error, IntegrityError):
                raise
            raise IntegrityError(
                f"{self._path}: expected a bundle's .zip, found a damaged archive ({error})"
            ) from error
