"""What a bulk run reads: a folder tree of pictures, or a csv that lists pictures or holds faces as text.

Inputs come in an order that is the same every time, one by one, so that a million of them need little memory and an
interrupted run can pass over those that are done.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fer_edge.errors import InputError, UsageError
from fer_edge.sources import PICTURE_SUFFIXES

__all__ = ["CsvInputs", "FolderInputs", "Inputs", "Item", "open_inputs", "read_pixel_texts"]

_PATH_COLUMN = "path"
_PIXELS_COLUMN = "pixels"
_BUFFER_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1 << 20


class Item(NamedTuple):
    """One picture to analyse; a tuple, because a million of them go through pipes.

    Attributes:
        source: the picture's path, as given or as the csv has it; of a face in a csv the csv's path.
        path: the file to read; None where there is none.
        pixel_text: a face's gray pixels as text; None where there are none, or where `span` says where they are.
        span: first byte and number of bytes of such a text in the file at `path`: a worker reads 8 KB faster from the
            system's cache than from a pipe.
        columns: the csv's other columns by name; None where there are none.
        problem: why there is nothing to analyse; None where there is.
    """

    source: str
    path: str | None = None
    pixel_text: bytes | None = None
    span: tuple[int, int] | None = None
    columns: dict[str, str] | None = None
    problem: str | None = None


class Inputs(ABC):
    """Pictures to be read in the same order every time.

    Attributes:
        path: of the folder or csv.
        columns: names of a csv's columns that go through to the results.
        are_faces: whether the inputs can be nothing but faces.
        total: how many there are; None where only reading all of them would tell.
    """

    path: Path
    columns: tuple[str, ...] = ()
    are_faces: bool = False
    total: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Item]: ...

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """Return by what these inputs are known again, beside their path."""

    @abstractmethod
    def share_read(self) -> float:
        """Return which part of the inputs the iteration going on has read, 0 to 1."""


def open_inputs(path: Path) -> Inputs:
    """Open a folder or a csv (or csv.gz) by what it is.

    Raises:
        InputError: there is nothing at `path`, no picture in the folder, or no column that names or holds pictures.
        UsageError: it is another kind of file.
    """
    if path.is_dir():
        return FolderInputs(path)
    if not path.exists():
        raise InputError(f"{path}: no such folder or csv; check the name")
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        raise UsageError(f"{path}: expected a folder, a .csv or a .csv.gz; for one picture or a video use fer-edge run")
    return CsvInputs(path)


class FolderInputs(Inputs):
    """The pictures in a folder and the folders inside it, by name.

    Taken are files with one of PICTURE_SUFFIXES; what starts with a dot is left out, linked folders are not entered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Counting all first takes seconds for a million, gives the time that remains, and finds unreadable folders.
        self.total: int = sum(1 for _ in _walk(str(path)))
        self._n_read = 0
        if self.total == 0:
            raise InputError(
                f"{path}: no pictures in this folder or below; expected files named {', '.join(PICTURE_SUFFIXES)}"
            )

    def __iter__(self) -> Iterator[Item]:
        self._n_read = 0
        for path in _walk(str(self.path)):
            self._n_read += 1
            yield Item(source=path, path=path)

    def identity(self) -> dict[str, str]:
        """Return nothing more: the paths themselves are compared where a run is resumed."""
        return {}

    def share_read(self) -> float:
        """See Inputs.share_read."""
        return min(self._n_read / self.total, 1.0)


class CsvInputs(Inputs):
    """The rows of a csv with a header.

    A column `path` names pictures, relative to the csv's folder; a column `pixels` holds square gray faces as text, as
    FER-2013 has them. Rows are counted without empty lines. The header, and a row of pixels, is one line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        self._identity = {"csv_bytes": str(status.st_size), "csv_modified_ns": str(status.st_mtime_ns)}
        self._size_bytes = status.st_size
        self._is_packed = path.name.lower().endswith(".gz")
        with self._open() as file:
            self._header = _read_header(file)
        kinds = [name for name in (_PIXELS_COLUMN, _PATH_COLUMN) if name in self._header]
        if not kinds:
            raise InputError(
                f"{path}: expected a header with the column {_PATH_COLUMN} or {_PIXELS_COLUMN}, "
                f"found {', '.join(self._header)[:100]!r}"
            )
        if len(set(self._header)) != len(self._header):
            raise InputError(f"{path}: expected a header whose columns differ, found {', '.join(self._header)[:100]!r}")
        self._key = kinds[0]
        self.are_faces = self._key == _PIXELS_COLUMN
        self.columns = tuple(name for name in self._header if name != self._key)

    def __iter__(self) -> Iterator[Item]:
        n_rows = 0
        with self._open() as file:
            for item in self._pixel_rows(file) if self.are_faces else self._path_rows(file):
                n_rows += 1
                yield item
        if n_rows == 0:
            raise InputError(f"{self.path}: expected rows below the header, found none")

    def identity(self) -> dict[str, str]:
        """Return the csv's length and when it was last changed."""
        return self._identity

    def share_read(self) -> float:
        """Return the share of the file's bytes; the number of rows is not known."""
        return 1.0 if self._raw.closed else min(self._raw.tell() / self._size_bytes, 1.0)

    def _pixel_rows(self, file: BinaryIO) -> Iterator[Item]:
        """Cut lines into fields without looking at every letter of the pixels: a row has 8 KB of them."""
        source, width, key = str(self.path), len(self._header), self._header.index(_PIXELS_COLUMN)
        is_packed = self._is_packed
        first_byte = len(file.readline())
        for line in file:
            row_byte, first_byte = first_byte, first_byte + len(line)
            is_quoted = b'"' in line
            if is_quoted:
                try:
                    fields = [field.encode() for field in next(csv.reader([line.decode()], strict=True))]
                except csv.Error as error:
                    yield Item(source, problem=f"cannot take the row apart: {error}; expected one line")
                    continue
            else:
                fields = _split_around(line.rstrip(b"\r\n"), key, width)
            if len(fields) != width:
                if line.strip():
                    yield Item(source, problem=self._wrong_width(len(fields)))
                continue
            pixel_text = fields.pop(key)
            columns = self._named([field.decode() for field in fields])
            if is_quoted or is_packed:
                yield Item(source, pixel_text=pixel_text, columns=columns)
            else:
                pixel_byte = row_byte + sum(map(len, fields[:key])) + key
                yield Item(source, source, span=(pixel_byte, len(pixel_text)), columns=columns)

    def _path_rows(self, file: BinaryIO) -> Iterator[Item]:
        key = self._header.index(_PATH_COLUMN)
        folder = self.path.parent
        with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            rows = csv.reader(text)
            next(rows)
            for fields in rows:
                if not fields:
                    continue
                if len(fields) != len(self._header):
                    yield Item(source=str(self.path), problem=self._wrong_width(len(fields)))
                    continue
                path = fields.pop(key)
                yield Item(
                    source=path,
                    path=os.path.join(folder, path) if path else None,  # noqa: PTH118 - a Path costs ten times as much
                    columns=self._named(fields),
                    problem=None if path else f"expected a path in the column {_PATH_COLUMN}, found none",
                )

    def _named(self, values: list[str]) -> dict[str, str] | None:
        return dict(zip(self.columns, values, strict=True)) or None

    def _wrong_width(self, found: int) -> str:
        return f"expected {len(self._header)} columns as in the header, found {found}"

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """Open the csv's text as bytes; what goes wrong while it is read becomes an InputError."""
        try:
            with self.path.open("rb", buffering=0) as self._raw:
                if self._is_packed:
                    with gzip.GzipFile(fileobj=self._raw, mode="rb") as unpacked:
                        yield io.BufferedReader(unpacked, _BUFFER_BYTES)
                else:
                    yield io.BufferedReader(self._raw, _BUFFER_BYTES)
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise InputError(f"cannot read {self.path}: {reason}; expected a csv in UTF-8, or one in a .gz") from error


def read_pixel_texts(items: Sequence[Item]) -> list[bytes]:
    """Return the texts of items of one csv, each of which has one.

    Raises:
        InputError: the csv cannot be read any more.
    """
    texts = []
    with ExitStack() as stack:
        file: BinaryIO | None = None
        for item in items:
            if item.span is None or item.path is None:
                texts.append(item.pixel_text or b"")
                continue
            first_byte, n_bytes = item.span
            try:
                if file is None:
                    file = stack.enter_context(Path(item.path).open("rb", buffering=0))
                text = os.pread(file.fileno(), n_bytes, first_byte)
            except OSError as error:
                raise InputError(f"cannot read {item.path}: {error.strerror or error}") from error
            texts.append(text)
    return texts


def _read_header(file: BinaryIO) -> list[str]:
    line = file.readline(_MAX_HEADER_BYTES).decode("utf-8-sig")
    # Strictly: a quoted name that goes on in the next line is an error, not a name cut short.
    return [name.strip() for name in next(csv.reader([line], strict=True), [])]


def _split_around(line: bytes, long: int, width: int) -> list[bytes]:
    """Split at commas; from both ends, for `split` looks at each byte, which takes long in the field `long`."""
    fields = line.split(b",", long)
    if len(fields) == long + 1:
        fields += fields.pop().rsplit(b",", width - long - 1)
    is_whole = len(fields) == width and b"," not in fields[long]
    return fields if is_whole else line.split(b",")


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether a name is a folder or a link to one; a link that goes in a circle has its error when it is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(folder: str) -> Iterator[str]:
    """Yield the paths of a folder's pictures and of those in the folders inside it, by name."""
    # The next one is the last; a tree may be deeper than calls may be.
    waiting = _entries(folder)
    while waiting:
        parent, name, is_folder = waiting.pop()
        path = os.path.join(parent, name)  # noqa: PTH118 - a Path costs ten times as much
        if is_folder:
            waiting += _entries(path)
        else:
            yield path


def _entries(folder: str) -> list[tuple[str, str, bool]]:
    """Return a folder's pictures and folders as folder, name and whether it is a folder, from the last name on."""
    found: list[tuple[str, str, bool]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.append((folder, entry.name, True))
                elif os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES and not _leads_to_folder(entry):  # noqa: PTH122
                    found.append((folder, entry.name, False))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    found.sort(reverse=True)
    return found
