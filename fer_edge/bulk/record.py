"""What an unfinished result holds and of which job: a small file that is renewed when more rows are safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import UsageError
from fer_edge.files import write_text
from fer_edge.typed_json import parse_json, to_json_text

__all__ = ["RECORD_SCHEMA", "Record", "check_same_job", "read_record", "write_record"]

RECORD_SCHEMA = "fer-edge/bulk-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What has been written of which job.

    Attributes:
        schema: RECORD_SCHEMA.
        job: what the rows depend on, by name.
        n_rows, n_errors: rows so far, and those of them with an error.
        n_bytes: of JSON lines so far; 0 for Parquet.
        n_parts: part files so far; 0 for JSON lines.
        sources_sha256: of the rows' `source` texts, each followed by a zero byte.
    """

    schema: str
    job: Mapping[str, str]
    n_rows: int
    n_errors: int
    n_bytes: int
    n_parts: int
    sources_sha256: str

    def __post_init__(self) -> None:
        if self.schema != RECORD_SCHEMA:
            raise ValueError(f"schema: expected {RECORD_SCHEMA}, found {self.schema[:60]!r}")
        if min(self.n_rows, self.n_errors, self.n_bytes, self.n_parts) < 0:
            raise ValueError("expected counts of 0 or more, found a negative one")


def read_record(path: Path) -> Record | None:
    """Return the record at `path`, None where there is none.

    Raises:
        UsageError: something else is there.
    """
    try:
        return parse_json(Record, path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected the record of an unfinished run; {error}; --force starts over") from error


def write_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, to_json_text(record))


def check_same_job(record: Record, job: Mapping[str, str], partial: Path) -> None:
    """Compare the job of an unfinished result with the one that is asked for.

    Raises:
        UsageError: they differ; the message names in what.
    """
    for name in sorted({*record.job, *job}):
        found, asked = record.job.get(name), job.get(name)
        if found != asked:
            raise UsageError(
                f"{partial}: the unfinished result of another job is there ({name}: {found or 'none'}, now "
                f"{asked or 'none'}); finish that one, choose another name, or add --force to start over"
            )
