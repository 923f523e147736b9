"""The record of a benchmark, "fer-edge/bench-record/2": described in docs/bench-record.md, read strictly.

It keeps every raw sample. The figures in it must follow from the samples, or it is refused.
"""

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
from fer_edge_bench.record_file import read_record_json
from fer_edge_bench.samples import Round, StreamTrial, SustainedRun
from fer_edge_bench.summary import CaseSummary, CpuShare, summarize_case
from fer_edge_devices.sensors import SensorReading

__all__ = [
    "SCENARIOS",
    "SCHEMA",
    "SINGLE_STREAM",
    "BenchRecord",
    "BundleIdentity",
    "Case",
    "CaseFailure",
    "Circumstances",
    "HarnessCost",
    "MachineIdentity",
    "Settings",
    "StageFile",
    "TimelinePoint",
    "TrainingCase",
    "case_name",
    "measuring_command",
    "read_record",
]

SCHEMA = "fer-edge/bench-record/2"
_SCHEMA_FAMILY = "fer-edge/bench-record/"
# The single stream is always measured; these are what else can be asked for.
SCENARIOS = ("offline", "multi-stream", "sustained")
SINGLE_STREAM = "single stream"
# Summaries computed again on another processor or version of numpy differ in the last digits.
_REL_TOLERANCE, _ABS_TOLERANCE = 1e-3, 2e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for.

    Attributes:
        threads: that the engine, numpy and OpenCV may use, one case for each number.
        runs: samples of each series in each round; whole passes over the load.
        rounds: fresh processes for each case; the cases take turns.
        min_face_px: smallest face looked for, in pixels of the picture.
        scenarios: of SCENARIOS.
        bulk_s: how long the scenario "offline" goes on in each round.
        frame_rate: of each camera of "multi-stream", frames per second.
        stream_s: how long each of its trials lasts at least; 100 frames where that is longer.
        sustained_s: how long "sustained" goes on.
    """

    threads: tuple[int, ...] = (1,)
    runs: int = 40
    rounds: int = 4
    min_face_px: float = 40.0
    scenarios: tuple[str, ...] = ()
    bulk_s: float = 5.0
    frame_rate: float = 15.0
    stream_s: float = 5.0
    sustained_s: float = 1800.0

    def __post_init__(self) -> None:
        if not self.threads:
            raise ValueError("threads: expected at least one number, found none")
        for name, values in (("threads", self.threads), ("runs", (self.runs,)), ("rounds", (self.rounds,))):
            if min(values) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {min(values)}")
        for name in ("min_face_px", "bulk_s", "frame_rate", "stream_s", "sustained_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, found {getattr(self, name):g}")
        for name in self.scenarios:
            if name not in SCENARIOS:
                raise ValueError(f"scenarios: expected {', '.join(SCENARIOS)}, found {name[:40]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineIdentity:
    """Which machine.

    Attributes:
        board: slug of a board that fer-edge knows, else "generic".
        model: what the board calls itself.
        architecture, cpu, cores, memory_bytes, system, python: as fer_edge.machine.machine_summary gives them; shares
            of memory refer to `memory_bytes`.
        int8_features: of the processor, those that decide how fast int8 runs.
    """

    board: str
    model: str
    architecture: str
    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    int8_features: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("cores", "memory_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleIdentity:
    """Which bundle.

    Attributes:
        name, version: as its manifest gives them.
        manifest_sha256: digest of its manifest.json.
        classifier: the classifier's architecture, e.g. "sepnet_tiny"; None where the manifest does not tell.
    """

    name: str
    version: str
    manifest_sha256: str
    classifier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFile:
    """The variant of a stage that ran.

    Attributes:
        precision: of the variant.
        bytes: of its file or files.
        parameters: of the network; None where the bundle does not tell.
        multiply_adds: of the network for one input; None where the bundle does not tell. Those of the detector's follow
            from the samples' FrameWork.
    """

    precision: str
    bytes: int
    parameters: int | None
    multiply_adds: int | None

    def __post_init__(self) -> None:
        for name in ("bytes", "parameters", "multiply_adds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name}: expected 0 or more, found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One engine with one precision of the classifier and one number of threads.

    Attributes:
        engine: "litert", "onnx", "openvino" …
        engine_version: name and version of the library.
        precision: of the classifier.
        threads: that engine, numpy and OpenCV may use.
        cores: that the processes were bound to; empty where they were free to move.
        stages: the variant of each stage, by name.
        summary: the figures that follow from what is below.
        rounds: one for each fresh process.
        stream_trials: of the scenario "multi-stream", in the order made.
        sustained: of the scenario "sustained".
    """

    engine: str
    engine_version: str
    precision: str
    threads: int
    cores: tuple[int, ...]
    stages: Mapping[str, StageFile]
    summary: CaseSummary
    rounds: tuple[Round, ...]
    stream_trials: tuple[StreamTrial, ...]
    sustained: SustainedRun | None

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads: expected 1 or more, found {self.threads}")
        if set(self.stages) != set(STAGE_NAMES):
            raise ValueError(f"stages: expected {', '.join(STAGE_NAMES)}, found {', '.join(self.stages) or 'none'}")

    @property
    def name(self) -> str:
        """Return what people call it, e.g. "litert int8", with the number of threads where it is not one."""
        return case_name(self.engine, self.precision, self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFailure:
    """What could not be measured.

    Attributes:
        case: its name, as `case_name` gives it, or a network that should have been trained.
        step: "single stream", "multi-stream", "sustained" or "training"; what was measured before is in the record.
        error: in one line.
    """

    case: str
    step: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePoint:
    """The machine at one moment.

    Attributes:
        t_s: seconds since the benchmark's start.
        case: position in `cases` of what ran; None where nothing did.
        step: of the case: "single stream", "multi-stream" or "sustained"; None where nothing ran.
        memory_bytes: resident memory of its process; None where there was none.
        temperature_c: of the hottest zone; None without a sensor.
        clock_mhz: of the fastest core; None where it is not told.
        power_w: of the whole board, or the sum of the rails measured; None without a sensor.
        throttled: why the processor is held back at this moment; None where it is not or is not told.
    """

    t_s: float
    case: int | None
    step: str | None
    memory_bytes: int | None
    temperature_c: float | None
    clock_mhz: float | None
    power_w: float | None
    throttled: str | None

    def __post_init__(self) -> None:
        for name in ("t_s", "memory_bytes", "clock_mhz", "power_w"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name}: expected 0 or more, found {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else was going on.

    Attributes:
        before, after: all sensors.
        throttled: why the board held the processor back between the two, or None.
        untold: why that cannot be told, or None where it can.
        load_average: processes that wanted to run in the minute before, on average.
        busy_percent: of all cores' time, what other programs took just before the start.
        denied: sensors that are there and may not be read, with what to do.
    """

    before: SensorReading
    after: SensorReading
    throttled: str | None
    untold: str | None
    load_average: float | None
    busy_percent: float | None
    denied: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.busy_percent is not None and not 0 <= self.busy_percent <= 100:
            raise ValueError(f"busy_percent: expected 0 to 100, found {self.busy_percent:g}")
        if self.load_average is not None and self.load_average < 0:
            raise ValueError(f"load_average: expected 0 or more, found {self.load_average:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessCost:
    """What measuring cost by itself.

    Attributes:
        watching_percent: processor time of the process that watches, of one core's, while cases ran.
        timing_percent: what the clock and keeping samples add to the shortest frame of all cases, at most.
    """

    watching_percent: float
    timing_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCase:
    """Steps of training on this machine.

    Attributes:
        architecture: of the zoo.
        backend: library and version.
        accelerator: what it ran on, e.g. a GPU's name; None for the processor.
        threads: that it may use; None for all cores.
        batch_size: images of a step.
        ms_per_image: of each step after the warm-up, one for each.
        peak_memory_bytes: VmHWM of the process.
        process_cpu: of the process meanwhile.
        machine_cpu: of everything that ran then; None where the system does not tell.
    """

    architecture: str
    backend: str
    accelerator: str | None
    threads: int | None
    batch_size: int
    ms_per_image: tuple[float, ...]
    peak_memory_bytes: int
    process_cpu: CpuShare
    machine_cpu: CpuShare | None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not self.ms_per_image or min(self.ms_per_image) <= 0:
            raise ValueError("expected a batch and steps above 0 ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRecord:
    """A benchmark on one machine.

    Attributes:
        schema: SCHEMA.
        created_utc: when it ended, ISO 8601.
        partial: it was interrupted; what had been measured is here.
        machine, bundle, settings, circumstances, harness: see their classes.
        versions: of Python packages, by name.
        load: the pictures, in the order of `inputs` in the samples.
        cases: what was measured, at least one.
        failures: cases that could not be measured.
        timeline: in order of time.
        training: of `--training`; empty where not asked for.
    """

    schema: str
    created_utc: str
    partial: bool
    machine: MachineIdentity
    versions: Mapping[str, str]
    bundle: BundleIdentity
    load: tuple[LoadIdentity, ...]
    settings: Settings
    circumstances: Circumstances
    harness: HarnessCost
    cases: tuple[Case, ...]
    failures: tuple[CaseFailure, ...]
    timeline: tuple[TimelinePoint, ...]
    training: tuple[TrainingCase, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, found {self.schema[:60]!r}")
        try:
            datetime.fromisoformat(self.created_utc)
        except ValueError as error:
            raise ValueError(f"created_utc: expected a time in ISO 8601, found {self.created_utc[:40]!r}") from error
        if not self.cases:
            raise ValueError("cases: expected at least one, found none")
        names = [case.name for case in self.cases]
        if len(set(names)) < len(names):
            raise ValueError(f"cases: expected each once, found {', '.join(names)}")
        for case in self.cases:
            self._check_counts(case)
            expected = summarize_case(case.rounds, case.stream_trials, case.sustained, self.machine.memory_bytes)
            if not _is_close(dataclasses.asdict(case.summary), dataclasses.asdict(expected)):
                raise ValueError(f"case {case.name}: the summary does not follow from the samples; measure again")
        times_s = [point.t_s for point in self.timeline]
        if times_s != sorted(times_s):
            raise ValueError("timeline: expected points in order of time")
        for point in self.timeline:
            if point.case is not None and not 0 <= point.case < len(self.cases):
                raise ValueError(f"timeline: expected a case below {len(self.cases)}, found {point.case}")

    def _check_counts(self, case: Case) -> None:
        if case.threads not in self.settings.threads:
            raise ValueError(f"case {case.name}: expected {self.settings.threads} threads, found {case.threads}")
        wanted, found = self.settings.rounds, len(case.rounds)
        ended_early = self.partial or any(failure.case == case.name for failure in self.failures)
        if found != wanted and not (ended_early and 0 < found < wanted):
            raise ValueError(f"case {case.name}: expected {wanted} rounds, found {found}")
        for measured in case.rounds:
            if len(measured.work) != len(self.load):
                raise ValueError(f"case {case.name}: expected {len(self.load)} pictures, found {len(measured.work)}")
            for part in (measured.frame, measured.face):
                if part.runs != self.settings.runs:
                    raise ValueError(f"case {case.name}: expected {self.settings.runs} samples, found {part.runs}")
            if not all(0 <= position < len(self.load) for position in measured.frame.inputs):
                raise ValueError(f"case {case.name}: inputs: expected positions in the load")


def read_record(path: Path) -> BenchRecord:
    """Read a record's file, plain or packed by gzip.

    Raises:
        InputError: the file cannot be read, or is not a whole record of this schema; the message names the key.
    """
    content = read_record_json(path, "a record of fer-edge bench")
    schema = content.get("schema") if isinstance(content, dict) else None
    if isinstance(schema, str) and schema != SCHEMA and schema.startswith(_SCHEMA_FAMILY):
        raise InputError(
            f"{path}: expected a record of schema {SCHEMA}, found {schema[:60]}; "
            "measure again, or read it with the release of fer-edge that made it"
        )
    return from_json_types(BenchRecord, content, str(path))


def measuring_command(record: BenchRecord) -> str:
    """Return the command line that measures the same again, its pictures and bundle apart."""
    settings, defaults = record.settings, Settings()
    words = ["fer-edge", "bench"]
    if any(picture.name != f"astronaut-view-{number}.jpg" for number, picture in enumerate(record.load, start=1)):
        words += ["--photo", "PICTURES"]
    words += ["--engine", *dict.fromkeys(case.engine for case in record.cases)]
    words += ["--precision", *dict.fromkeys(case.precision for case in record.cases)]
    words += ["--threads", *map(str, settings.threads)]
    words += ["--runs", str(settings.runs), "--rounds", str(settings.rounds), "--min-face", f"{settings.min_face_px:g}"]
    scenarios = [name for name in settings.scenarios if name != "sustained"]
    if scenarios:
        words += ["--scenario", *scenarios]
    if "multi-stream" in scenarios and settings.frame_rate != defaults.frame_rate:
        words += ["--frame-rate", f"{settings.frame_rate:g}"]
    if "sustained" in settings.scenarios:
        words += ["--minutes", f"{settings.sustained_s / 60:g}"]
    if record.training:
        words += ["--training", *(item.architecture for item in record.training)]
    return shlex.join(words)


def case_name(engine: str, precision: str, threads: int) -> str:
    """Return what people call a case: "litert int8", with the number of threads where it is not one."""
    return f"{engine} {precision}" + (f", {threads} threads" if threads != 1 else "")


def _is_close(found: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(_is_close(found[key], expected[key]) for key in expected)
    if isinstance(expected, tuple):
        return len(found) == len(expected) and all(map(_is_close, found, expected))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=_REL_TOLERANCE, abs_tol=_ABS_TOLERANCE)
    return bool(found == expected)
