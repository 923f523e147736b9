"""What was measured: every sample, as one JSON file; README.md describes it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge.files import write_bytes
from fer_edge.typed_json import parse_json, to_json_text

__all__ = [
    "SCHEMA",
    "CaseResult",
    "ComparedPhoto",
    "DetectionFigures",
    "ExpressionFigures",
    "PeersRecord",
    "RoundSamples",
    "RunSettings",
    "read_record",
    "write_record",
]

SCHEMA = "fer-edge/peers-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What was asked for.

    Attributes:
        threads: that each package may use.
        rounds: fresh processes for each case.
        passes: timed calls on each photo in each round; one untimed pass comes before them.
        min_face_px: smallest face where all are given the same.
    """

    threads: int
    rounds: int
    passes: int
    min_face_px: float

    def __post_init__(self) -> None:
        for name in ("threads", "rounds", "passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPhoto:
    """A photo that was timed.

    Attributes:
        name: of its file.
        sha256: of its file.
        size_wh: as the packages saw it, in pixels.
        is_portrait: one face, scaled into 640 x 480 with black bars.
    """

    name: str
    sha256: str
    size_wh: tuple[int, int]
    is_portrait: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSamples:
    """One process, from its start to its end.

    Attributes:
        cold_start_ms: from the process' start until the first photo was analysed.
        peak_memory_bytes: largest resident memory (VmHWM) at its end.
        first_ms: each photo's first call in this process, which may set things up for its size.
        samples_ms: for each photo, the duration of each later call.
        busy_cores: processor time of all threads over the duration of the later calls.
        n_faces: found in each photo.
    """

    cold_start_ms: float
    peak_memory_bytes: int
    first_ms: tuple[float, ...]
    samples_ms: tuple[tuple[float, ...], ...]
    busy_cores: float
    n_faces: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionFigures:
    """What was found on labelled photos, at an intersection over union of 0.5.

    Attributes:
        n_photos: of WIDER FACE's validation set.
        min_side_px: labelled faces whose shorter side is smaller do not count.
        n_faces: that count.
        found: of them.
        false_positives: boxes on no labelled face.
    """

    n_photos: int
    min_side_px: float
    n_faces: int
    found: int
    false_positives: int

    def __post_init__(self) -> None:
        if not 0 <= self.found <= self.n_faces or self.n_faces < 1:
            raise ValueError(f"found: expected 0 to n_faces, at least 1; found {self.found} of {self.n_faces}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionFigures:
    """Right answers on FER-2013's PublicTest: `n_right` of `n`."""

    n: int
    n_right: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_right <= self.n or self.n < 1:
            raise ValueError(f"n_right: expected 0 to n, at least 1; found {self.n_right} of {self.n}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One package, asked in one way.

    Attributes:
        name, mode, note: of the case.
        min_face_px: that it was given; None for its own default.
        reason: why it did not run or did not run to the end; None where it did.
        versions: of Python and the packages that decide the result; empty where it did not start.
        install_bytes: that pip added to an empty environment; None where it cannot be installed.
        rounds: those that were completed.
        detection, expression: None where not measured.
    """

    name: str
    mode: str
    note: str
    min_face_px: float | None
    reason: str | None
    versions: Mapping[str, str]
    install_bytes: int | None
    rounds: tuple[RoundSamples, ...]
    detection: DetectionFigures | None
    expression: ExpressionFigures | None

    def __post_init__(self) -> None:
        if self.mode not in ("detect", "expressions"):
            raise ValueError(f"mode: expected detect or expressions, found {self.mode[:60]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersRecord:
    """A comparison on one machine.

    Attributes:
        schema: SCHEMA.
        created_utc: when it ended, ISO 8601.
        machine: fer_edge.machine.machine_summary().
        settings, photos, cases: see their classes; the photos are in the order of the samples.
    """

    schema: str
    created_utc: str
    machine: Mapping[str, str | int]
    settings: RunSettings
    photos: tuple[ComparedPhoto, ...]
    cases: tuple[CaseResult, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, found {self.schema[:60]!r}")
        for case in self.cases:
            if case.reason is None and len(case.rounds) != self.settings.rounds:
                raise ValueError(f"{case.name}: expected {self.settings.rounds} rounds, found {len(case.rounds)}")
            for samples in case.rounds:
                self._check_shape(case.name, samples)

    def _check_shape(self, name: str, samples: RoundSamples) -> None:
        expected = (len(self.photos), self.settings.passes)
        for series in (samples.first_ms, samples.samples_ms, samples.n_faces):
            if len(series) != expected[0]:
                raise ValueError(f"{name}: expected figures of {expected[0]} photos, found {len(series)}")
        for durations_ms in samples.samples_ms:
            if len(durations_ms) != expected[1]:
                raise ValueError(f"{name}: expected {expected[1]} samples of a photo, found {len(durations_ms)}")
            if min(durations_ms) <= 0:
                raise ValueError(f"{name}: expected durations above 0 ms, found {min(durations_ms):g}")


def read_record(path: Path) -> PeersRecord:
    """Read a record, packed with gzip or not.

    Raises:
        InputError: the file cannot be read, or is not a whole record of this schema; the message names the key.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; expected a record of compare.py") from error
    return parse_json(PeersRecord, text, str(path))


def write_record(path: Path, record: PeersRecord) -> None:
    """Write a record, packed where the name ends in .gz.

    Raises:
        OutputError: it cannot be written.
    """
    data = to_json_text(record).encode()
    # Without a time in the gzip header the same record gives the same bytes.
    write_bytes(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
