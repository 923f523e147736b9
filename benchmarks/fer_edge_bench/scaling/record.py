"""The record of `fer-edge bench scaling`, "fer-edge/scaling-record/1": described in docs/scaling.md, read strictly."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.errors import InputError
from fer_edge.typed_json import from_json_types
from fer_edge_bench.load import LoadIdentity
from fer_edge_bench.record import BundleIdentity, MachineIdentity, case_name
from fer_edge_bench.record_file import read_record_json
from fer_edge_bench.scaling.figures import CaseFigures, case_figures
from fer_edge_bench.scaling.frames import CROWD_FACE_PX
from fer_edge_bench.scaling.samples import MemoryRun, ScalingRound

__all__ = ["SCHEMA", "ScalingCase", "ScalingRecord", "ScalingSettings", "measuring_command", "read_scaling_record"]

SCHEMA = "fer-edge/scaling-record/1"
# Figures computed again on another processor or version of numpy differ in the last digits.
_REL_TOLERANCE, _ABS_TOLERANCE = 1e-4, 1e-4
_LEAST_FRAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingSettings:
    """What was asked for.

    Attributes:
        threads: that the engine, numpy and OpenCV may use.
        passes: over the pictures in each process, and runs of each other frame.
        rounds: fresh processes for each case; the cases take turns.
        frames: of the memory runs.
        min_face_px: smallest face looked for; at most the size of the crowd's faces.
    """

    threads: int = 1
    passes: int = 10
    rounds: int = 4
    frames: int = 2000
    min_face_px: float = 40.0

    def __post_init__(self) -> None:
        for name, least in (("threads", 1), ("passes", 1), ("rounds", 1), ("frames", _LEAST_FRAMES)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, found {getattr(self, name)}")
        # Where larger faces are looked for, the crowd's are not, and there is no line through what they cost.
        if not 12 <= self.min_face_px <= CROWD_FACE_PX:
            raise ValueError(f"min_face_px: expected 12 to {CROWD_FACE_PX}, found {self.min_face_px:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingCase:
    """One engine with one precision of the classifier.

    Attributes:
        engine, engine_version, precision, threads, cores: as in the record of `fer-edge bench`.
        precisions: of each stage's variant.
        classifier_multiply_adds: for one face; None where the bundle does not state them.
        peak_multiply_adds: of the large convolutions that ran, by name and precision.
        figures: what follows from what is below.
        rounds: one for each fresh process.
        memory: runs of it, each in a process of its own.
    """

    engine: str
    engine_version: str
    precision: str
    threads: int
    cores: tuple[int, ...]
    precisions: Mapping[str, str]
    classifier_multiply_adds: int | None
    peak_multiply_adds: Mapping[str, int]
    figures: CaseFigures
    rounds: tuple[ScalingRound, ...]
    memory: tuple[MemoryRun, ...]

    def __post_init__(self) -> None:
        if set(self.precisions) != set(STAGE_NAMES):
            raise ValueError(f"precisions: expected {', '.join(STAGE_NAMES)}, found {', '.join(self.precisions)}")
        if not self.rounds:
            raise ValueError("rounds: expected at least one, found none")
        for one in self.rounds:
            if set(one.stages.peak_ms) != set(self.peak_multiply_adds):
                raise ValueError(
                    f"peak_ms: expected {', '.join(self.peak_multiply_adds) or 'none'}, "
                    f"found {', '.join(one.stages.peak_ms) or 'none'}"
                )
        expected = case_figures(
            self.rounds, self.memory, self.precisions, self.classifier_multiply_adds, self.peak_multiply_adds
        )
        if not _is_close(dataclasses.asdict(self.figures), dataclasses.asdict(expected)):
            raise ValueError(f"case {self.name}: the figures do not follow from the samples; measure again")

    @property
    def name(self) -> str:
        """Return what people call it, e.g. "litert int8"."""
        return case_name(self.engine, self.precision, self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRecord:
    """A measurement on one machine.

    Attributes:
        schema: SCHEMA.
        created_utc: when it ended, ISO 8601.
        machine, bundle, settings: see their classes.
        versions: of Python packages, by name.
        load: the pictures of stages, split and memory.
        busy_percent: of all cores' time, what other programs took just before the start; None where it is not told.
        cases: at least one.
    """

    schema: str
    created_utc: str
    machine: MachineIdentity
    versions: Mapping[str, str]
    bundle: BundleIdentity
    load: tuple[LoadIdentity, ...]
    settings: ScalingSettings
    busy_percent: float | None
    cases: tuple[ScalingCase, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, found {self.schema[:60]!r}")
        try:
            datetime.fromisoformat(self.created_utc)
        except ValueError as error:
            raise ValueError(f"created_utc: expected a time in ISO 8601, found {self.created_utc[:40]!r}") from error
        if not self.cases:
            raise ValueError("cases: expected at least one, found none")
        for case in self.cases:
            if len(case.rounds) != self.settings.rounds:
                raise ValueError(f"case {case.name}: expected {self.settings.rounds} rounds, found {len(case.rounds)}")
            if {len(one.stages.work) for one in case.rounds} != {len(self.load)}:
                raise ValueError(f"case {case.name}: expected {len(self.load)} pictures")
            if {run.frames for run in case.memory} - {self.settings.frames}:
                raise ValueError(f"case {case.name}: expected memory over {self.settings.frames} frames")


def read_scaling_record(path: Path) -> ScalingRecord:
    """Read a record's file, plain or packed by gzip.

    Raises:
        InputError: the file cannot be read, or is not a whole record of this schema; the message names the key.
    """
    content = read_record_json(path, "a record of fer-edge bench scaling")
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, str) and schema != SCHEMA:
        raise InputError(f"{path}: expected a record of schema {SCHEMA}, found {schema[:60]}")
    return from_json_types(ScalingRecord, content, str(path))


def measuring_command(record: ScalingRecord) -> str:
    """Return the command line that measures the same again, its bundle apart."""
    settings = record.settings
    words = ["fer-edge", "bench", "scaling"]
    words += ["--engine", *dict.fromkeys(case.engine for case in record.cases)]
    words += ["--precision", *dict.fromkeys(case.precision for case in record.cases)]
    words += ["--threads", str(settings.threads), "--frames", str(settings.frames)]
    words += ["--passes", str(settings.passes), "--rounds", str(settings.rounds)]
    words += ["--min-face", f"{settings.min_face_px:g}"]
    return shlex.join([*words, "--record", "scaling.json.gz", "--report", "scaling.html"])


def _is_close(found: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(_is_close(found[key], expected[key]) for key in expected)
    if isinstance(expected, tuple):
        return found is not None and len(found) == len(expected) and all(map(_is_close, found, expected))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=_REL_TOLERANCE, abs_tol=_ABS_TOLERANCE)
    return bool(found == expected)
