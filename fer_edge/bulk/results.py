"""Where the rows of a bulk run go, so that a run that ended in any way continues without losing or repeating a row.

Rows are written in the order of the inputs to `OUT.partial`, every few seconds. When they are safe on the disk a record
says how many there are; a run that continues cuts off what came after. `OUT` itself appears when it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, NamedTuple

from fer_edge.bulk._arrow import write_part
from fer_edge.bulk.record import RECORD_SCHEMA, Record, check_same_job, read_record, write_record
from fer_edge.errors import FerEdgeError, OutputError, UsageError
from fer_edge.files import atomic_path, check_folder_target, ensure_writable_target, put_in_place, replace_folder

__all__ = ["Format", "Results", "check_target", "open_results", "partial_result_path"]

Format = Literal["jsonl", "parquet"]

_PARQUET_RECORD = "_bulk.json"  # readers of a folder of Parquet files pass over names that start with an underscore


def check_target(path: Path, kind: Format, *, force: bool) -> None:
    """Check, before any long work, that a result may be made at `path` or, with `force`, replaced.

    Raises:
        UsageError: it exists without `force`, or is of another kind.
        OutputError: its folder does not exist or cannot be written to.
    """
    if kind == "jsonl":
        ensure_writable_target(path, force=force)
    else:
        check_folder_target(path, force=force, marker=_PARQUET_RECORD)


def partial_result_path(path: Path) -> Path:
    """Return where a result is until it is whole."""
    return path.with_name(f"{path.name}.partial")


def open_results(path: Path, kind: Format, job: Mapping[str, str], *, force: bool) -> Results:
    """Begin a result, or go on with what an interrupted run of the same job left.

    Args:
        path: where the whole result will be; `check_target` has passed.
        kind: JSON lines or a folder of Parquet files.
        job: what the rows depend on, by name.
        force: start over where there is an unfinished result.

    Raises:
        UsageError: another job's unfinished result is there, or a process is writing it.
        OutputError: nothing can be written there.
    """
    try:
        return (_JsonLines if kind == "jsonl" else _Parquet)(path, job, force=force)
    except FerEdgeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


class _Added(NamedTuple):
    """Rows that are not written yet, and the digest of all sources up to them."""

    payload: bytes
    n_rows: int
    n_errors: int
    sources_sha256: str


class _State(NamedTuple):
    """What is written and what is not: one value, so that a signal never finds one without the other."""

    record: Record
    pending: list[_Added]


class Results(ABC):
    """A context manager to which rows are added; leaving it in any way saves them.

    Attributes:
        path: where the whole result will be.
        partial: where it is until then.
        n_rows_before: rows of earlier runs.
    """

    # How much work is done again after a power cut, and how much waits in memory.
    _period_s: ClassVar[float]
    _max_pending_bytes: ClassVar[int]

    def __init__(self, path: Path, job: Mapping[str, str], *, force: bool) -> None:
        self.path = path
        self.partial = partial_result_path(path)
        self._digest = hashlib.sha256()
        self._file = self._open()
        try:
            self._lock()
            record = self._found(job, force=force) or self._new(job)
            self._cut(record)
        except BaseException:
            os.close(self._file)
            raise
        self._state = _State(record, [])
        self._n_pending_bytes = 0
        self._saved_s = time.monotonic()
        self.n_rows_before = record.n_rows

    @property
    def n_rows(self) -> int:
        """Rows so far, of earlier runs too."""
        return self._state.record.n_rows + sum(added.n_rows for added in self._state.pending)

    @property
    def n_errors(self) -> int:
        """Those of `n_rows` with an error."""
        return self._state.record.n_errors + sum(added.n_errors for added in self._state.pending)

    def pass_over(self, sources: Iterable[str]) -> None:
        """Compare the `source` texts of the inputs that are done with those that the earlier run did.

        Raises:
            UsageError: they are others.
        """
        record, n_sources = self._state.record, 0
        for source in sources:
            self._digest.update(_source_bytes(source))
            n_sources += 1
        if n_sources != record.n_rows or self._digest.hexdigest() != record.sources_sha256:
            raise UsageError(
                f"{self.partial}: the inputs that are done are not the first {record.n_rows} now; were files added or "
                "removed? choose another name, or add --force to start over"
            )

    def add(self, payload: bytes, sources: Sequence[str], n_errors: int) -> None:
        """Add the rows of the next inputs, whose `source` texts are given.

        Raises:
            OutputError: they cannot be written; those that were saved before stay.
        """
        for source in sources:
            self._digest.update(_source_bytes(source))
        self._state.pending.append(_Added(payload, len(sources), n_errors, self._digest.hexdigest()))
        self._n_pending_bytes += len(payload)
        if self._n_pending_bytes > self._max_pending_bytes or time.monotonic() - self._saved_s > self._period_s:
            self._save()

    def finish(self) -> None:
        """Put the whole result in its place.

        Raises:
            OutputError: it cannot be written.
        """
        self._save()
        self._put_in_place()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                # What went wrong first is the error to tell.
                with suppress(FerEdgeError):
                    self._save()
        finally:
            os.close(self._file)

    def _save(self) -> None:
        record, pending = self._state
        self._saved_s = time.monotonic()
        if not pending:
            return
        n_bytes, n_parts = self._write(record, [added.payload for added in pending])
        longer = replace(
            record,
            n_rows=record.n_rows + sum(added.n_rows for added in pending),
            n_errors=record.n_errors + sum(added.n_errors for added in pending),
            n_bytes=record.n_bytes + n_bytes,
            n_parts=record.n_parts + n_parts,
            sources_sha256=pending[-1].sources_sha256,
        )
        write_record(self._record_path, longer)
        self._state = _State(longer, [])
        self._n_pending_bytes = 0

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{self.partial}: another process is writing it; wait for that or choose another name"
            ) from error

    def _found(self, job: Mapping[str, str], *, force: bool) -> Record | None:
        """Return the record of an unfinished result; None where there is none, or no row, or it is to be replaced."""
        if force or self._is_empty():
            return None
        record = read_record(self._record_path)
        if record is None:
            raise UsageError(f"{self.partial} is there without its record; remove it or add --force to start over")
        if record.n_rows == 0:
            return None
        check_same_job(record, job, self.partial)
        return record

    def _new(self, job: Mapping[str, str]) -> Record:
        """Write a record before the first row, by which the file of a run that is killed at once is known."""
        record = Record(
            schema=RECORD_SCHEMA,
            job=dict(job),
            n_rows=0,
            n_errors=0,
            n_bytes=0,
            n_parts=0,
            sources_sha256=self._digest.hexdigest(),
        )
        write_record(self._record_path, record)
        return record

    @property
    @abstractmethod
    def _record_path(self) -> Path: ...

    @abstractmethod
    def _open(self) -> int:
        """Open, or make, what `partial` names; return its descriptor."""

    @abstractmethod
    def _is_empty(self) -> bool:
        """Tell whether there is nothing yet."""

    @abstractmethod
    def _cut(self, record: Record) -> None:
        """Remove what came after the record."""

    @abstractmethod
    def _write(self, record: Record, payloads: Sequence[bytes]) -> tuple[int, int]:
        """Write after what the record states, again where that was begun; return how many bytes and parts it were."""

    @abstractmethod
    def _put_in_place(self) -> None: ...


class _JsonLines(Results):
    """One file of lines, its record beside it."""

    _period_s = 5.0
    _max_pending_bytes = 16 << 20

    @property
    def _record_path(self) -> Path:
        return self.partial.with_name(f"{self.partial.name}.json")

    def _open(self) -> int:
        return os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _is_empty(self) -> bool:
        return os.fstat(self._file).st_size == 0

    def _cut(self, record: Record) -> None:
        found = os.fstat(self._file).st_size
        if found < record.n_bytes:
            raise UsageError(
                f"{self.partial}: expected at least the {record.n_bytes} bytes that its record states, found {found}; "
                "add --force to start over"
            )
        os.ftruncate(self._file, record.n_bytes)

    def _write(self, record: Record, payloads: Sequence[bytes]) -> tuple[int, int]:
        data = memoryview(b"".join(payloads))
        n_written = 0
        try:
            while n_written < len(data):
                n_written += os.pwrite(self._file, data[n_written:], record.n_bytes + n_written)
            os.fsync(self._file)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.partial}: {error.strerror or error}; the {record.n_rows} rows before are kept, "
                "the same command goes on from there"
            ) from error
        return len(data), 0

    def _put_in_place(self) -> None:
        put_in_place(self.partial, self.path)
        with suppress(OSError):
            self._record_path.unlink()


class _Parquet(Results):
    """A folder of part files with the record among them."""

    # A part for five minutes of slow work; the rows of fast work take 100 bytes and more each.
    _period_s = 300.0
    _max_pending_bytes = 64 << 20

    @property
    def _record_path(self) -> Path:
        return self.partial / _PARQUET_RECORD

    def _open(self) -> int:
        self.partial.mkdir(exist_ok=True)
        return os.open(self.partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _is_empty(self) -> bool:
        return not any(self.partial.iterdir())

    def _cut(self, record: Record) -> None:
        kept = {_PARQUET_RECORD, *(_part_name(number) for number in range(record.n_parts))}
        found = {path.name for path in self.partial.iterdir()}
        missing = sorted(kept - found)
        if missing:
            raise UsageError(f"{self.partial}: {missing[0]} is missing; add --force to start over")
        for name in found - kept:
            (self.partial / name).unlink()

    def _write(self, record: Record, payloads: Sequence[bytes]) -> tuple[int, int]:
        path = self.partial / _part_name(record.n_parts)
        try:
            with atomic_path(path) as temporary:
                write_part(temporary, payloads)
        except OutputError as error:
            raise OutputError(
                f"{error}; the {record.n_rows} rows before are kept, the same command goes on from there"
            ) from error
        return 0, 1

    def _put_in_place(self) -> None:
        replace_folder(self.partial, self.path)


def _part_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _source_bytes(source: str) -> bytes:
    return source.encode(errors="surrogateescape") + b"\0"
