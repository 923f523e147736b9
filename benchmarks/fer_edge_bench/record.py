"""The record of a benchmark, "fer-edge/bench-record/1": described in docs/bench-record.md, read strictly.

It keeps every raw sample. The figures in it must follow from the samples, or it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_bench.samples import Round
from fer_edge_bench.summary import CaseSummary, summarize_case
from fer_edge_bench.typed_json import parse_json

__all__ = ["SCHEMA", "BenchRecord", "BundleIdentity", "Case", "PhotoIdentity", "Settings", "StageFile", "read_record"]

SCHEMA = "fer-edge/bench-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for.

    Attributes:
        threads: that the engine, numpy and OpenCV may use.
        runs: samples of each series in each round.
        rounds: fresh processes for each case; the cases take turns.
        min_face_px: smallest face looked for, in pixels of the photo.
    """

    threads: int
    runs: int
    rounds: int
    min_face_px: float

    def __post_init__(self) -> None:
        for name in ("threads", "runs", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleIdentity:
    """Which bundle: its name and version, and the SHA-256 digest of its manifest.json."""

    name: str
    version: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoIdentity:
    """Which photo: its file's name without folders, length in bytes and SHA-256 digest."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFile:
    """The variant of a stage that ran: its precision, and the length of its file or files."""

    precision: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One engine with one precision of the classifier.

    Attributes:
        engine: "litert", "onnx", "openvino" …
        engine_version: name and version of the library.
        precision: of the classifier.
        stages: the variant of each stage, by name.
        summary: the figures that follow from `rounds`.
        rounds: one for each fresh process.
    """

    engine: str
    engine_version: str
    precision: str
    stages: Mapping[str, StageFile]
    summary: CaseSummary
    rounds: tuple[Round, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRecord:
    """A benchmark on one machine.

    Attributes:
        schema: SCHEMA.
        created_utc: when it ended, ISO 8601.
        machine: fer_edge.machine.machine_summary(); its `memory_bytes` is what shares of memory refer to.
        versions: of Python packages, by name.
        bundle, photos, settings, cases: see their classes.
    """

    schema: str
    created_utc: str
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    bundle: BundleIdentity
    photos: tuple[PhotoIdentity, ...]
    settings: Settings
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, found {self.schema[:60]!r}")
        memory_bytes = self.machine_memory_bytes
        if not self.cases:
            raise ValueError("cases: expected at least one, found none")
        for case in self.cases:
            name = f"case {case.engine} {case.precision}"
            self._check_counts(case, name)
            if case.summary != summarize_case(case.rounds, memory_bytes):
                raise ValueError(f"{name}: the summary does not follow from the samples; measure again")

    @property
    def machine_memory_bytes(self) -> int:
        """Return the machine's memory."""
        found = self.machine.get("memory_bytes")
        if not isinstance(found, int) or found < 1:
            raise ValueError(f"machine, memory_bytes: expected a positive whole number, found {found!r}")
        return found

    def _check_counts(self, case: Case, name: str) -> None:
        if len(case.rounds) != self.settings.rounds:
            raise ValueError(f"{name}: expected {self.settings.rounds} rounds, found {len(case.rounds)}")
        for measured in case.rounds:
            if len(measured.photos) != len(self.photos):
                raise ValueError(f"{name}: expected {len(self.photos)} photos in a round, found {len(measured.photos)}")
            steady = [measured.face, *(part for photo in measured.photos for part in (photo.decode, photo.frame))]
            for part in steady:
                if part.runs != self.settings.runs:
                    raise ValueError(f"{name}: expected {self.settings.runs} samples in a series, found {part.runs}")


def read_record(path: Path) -> BenchRecord:
    """Read a record's file.

    Raises:
        InputError: the file cannot be read, or is not a whole record of this schema; the message names the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; expected a record of fer-edge bench") from error
    return parse_json(BenchRecord, text, str(path))
