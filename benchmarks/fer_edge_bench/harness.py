"""Runs the cases of a benchmark in turns, each in fresh processes, and makes the record of them."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from fer_edge import __version__
from fer_edge.bundle import Bundle
from fer_edge.errors import FerEdgeError
from fer_edge.files import sha256_hex
from fer_edge.machine import machine_summary, package_versions
from fer_edge_bench.circumstances import busy_percent
from fer_edge_bench.cores import choose_cores
from fer_edge_bench.load import LoadFrame
from fer_edge_bench.monitor import Monitor
from fer_edge_bench.plan import PlannedCase
from fer_edge_bench.procfs import load_average
from fer_edge_bench.record import (
    SCHEMA,
    SINGLE_STREAM,
    BenchRecord,
    BundleIdentity,
    Case,
    CaseFailure,
    Circumstances,
    HarnessCost,
    MachineIdentity,
    Settings,
    StageFile,
    case_name,
)
from fer_edge_bench.samples import BulkRun, Round, Steady, StreamTrial, SustainedRun
from fer_edge_bench.streams import find_most_streams, run_trial
from fer_edge_bench.summary import summarize_case
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_bench.workers.single_stream import SingleStreamAnswer, SingleStreamJob, start_single_stream
from fer_edge_bench.workers.sustained import SustainedJob, start_sustained
from fer_edge_devices.board import recognise_board
from fer_edge_devices.processor import INT8_FEATURES, read_processor
from fer_edge_devices.sensors import Sensors
from fer_edge_devices.system_tree import SystemTree

__all__ = ["Interrupted", "identify_bundle", "identify_machine", "measure_cases", "whole_passes"]

# Of a search for the most cameras, on average; and how long they take to be ready.
_TRIALS, _READY_S = 7, 5.0
_PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended the benchmark, which is the cause.

    Attributes:
        record: what had been measured; None where that is nothing.
    """

    def __init__(self, record: BenchRecord | None) -> None:
        super().__init__()
        self.record = record


@dataclass(slots=True)
class _Measured:
    """What is known of a case so far."""

    case: PlannedCase
    threads: int
    cores: tuple[int, ...]
    engine_version: str = ""
    rounds: list[Round] = field(default_factory=list)
    stream_trials: tuple[StreamTrial, ...] = ()
    sustained: SustainedRun | None = None
    failed_step: str = ""
    error: FerEdgeError | None = None

    @property
    def name(self) -> str:
        return case_name(self.case.engine, self.case.precision, self.threads)


def whole_passes(runs: int, n_pictures: int) -> int:
    """Return the number of runs, raised to whole passes over the pictures, so that each is measured equally often."""
    return n_pictures * math.ceil(runs / n_pictures)


def measure_cases(
    bundle: Bundle,
    cases: Sequence[PlannedCase],
    load: Sequence[LoadFrame],
    settings: Settings,
    *,
    progress: Callable[[float, float, str], None],
    tree: SystemTree | None = None,
) -> BenchRecord:
    """Measure every case once a round, the cases taking turns: A B C A B C.

    What changes with time, heat above all, then meets all cases alike.

    Args:
        bundle: the models.
        cases: what to measure, at least one; each with every number of threads.
        load: the pictures, at least one.
        settings: of all cases.
        progress: told how much of how much is done, in about seconds, and what is being measured.
        tree: of the system.

    Raises:
        Interrupted: by Ctrl-C or a signal; it holds what had been measured.
        FerEdgeError: every case failed before its first round was over; the first one's error.
    """
    return _Benchmark(bundle, cases, load, settings, progress, tree or SystemTree()).run()


class _Benchmark:
    def __init__(
        self,
        bundle: Bundle,
        cases: Sequence[PlannedCase],
        load: Sequence[LoadFrame],
        settings: Settings,
        progress: Callable[[float, float, str], None],
        tree: SystemTree,
    ) -> None:
        self._bundle, self._load, self._tree, self._progress = bundle, load, tree, progress
        self._settings = dataclasses.replace(settings, runs=whole_passes(settings.runs, len(load)))
        available = sorted(os.sched_getaffinity(0))
        self._measured = [
            _Measured(case=case, threads=threads, cores=choose_cores(available, threads, tree))
            for threads in settings.threads
            for case in cases
        ]
        # All that can be wrong with the bundle's own words is found before anything is measured.
        self._bundle_identity = identify_bundle(bundle)
        self._costs = costs_of_stages(bundle.manifest.provenance)
        self._machine = identify_machine(tree)
        self._total_s = len(self._measured) * sum(self._expected_s(step) for step in self._steps())
        self._done_s = 0.0
        self._sensors = Sensors(tree)
        self._load_average = load_average(tree)
        self._busy_percent = busy_percent(tree)
        self._started_s = time.monotonic()
        self._monitor = Monitor(self._sensors, self._started_s)

    def run(self) -> BenchRecord:
        interruption: KeyboardInterrupt | None = None
        with self._monitor:
            try:
                for number in range(self._settings.rounds):
                    for position, item in enumerate(self._measured):
                        with self._step(item, SINGLE_STREAM, f"round {number + 1} of {self._settings.rounds}"):
                            self._measure_round(position, item)
                if "multi-stream" in self._settings.scenarios:
                    for position, item in enumerate(self._measured):
                        with self._step(item, "multi-stream", "cameras at once"):
                            self._measure_streams(position, item)
                if "sustained" in self._settings.scenarios:
                    for position, item in enumerate(self._measured):
                        with self._step(item, "sustained", f"{self._settings.sustained_s / 60:g} minutes"):
                            self._measure_sustained(position, item)
            except KeyboardInterrupt as error:
                interruption = error
        if interruption is not None:
            raise Interrupted(self._record(partial=True)) from interruption
        record = self._record(partial=False)
        if record is None:
            raise next(item.error for item in self._measured if item.error is not None)
        return record

    def _steps(self) -> list[str]:
        """Return the steps of each case."""
        others = [name for name in ("multi-stream", "sustained") if name in self._settings.scenarios]
        return [SINGLE_STREAM] * self._settings.rounds + others

    def _expected_s(self, step: str) -> float:
        """Return about how long a step takes: what is not known weighs as it did on the machine this was written on."""
        if step == "sustained":
            return self._settings.sustained_s
        if step == "multi-stream":
            return _TRIALS * (max(self._settings.stream_s, 100 / self._settings.frame_rate) + _READY_S)
        return 4.0 + (self._settings.bulk_s if "offline" in self._settings.scenarios else 0.0)

    @contextmanager
    def _step(self, item: _Measured, step: str, what: str) -> Iterator[None]:
        """Do a step of a case; its error ends the case and no other."""
        self._progress(self._done_s, self._total_s, f"{item.name}: {what}")
        self._done_s += self._expected_s(step)
        try:
            yield
        except FerEdgeError as error:
            item.failed_step, item.error = step, error

    def _measure_round(self, position: int, item: _Measured) -> None:
        if item.error is not None:
            return
        job = SingleStreamJob(
            pipeline=self._pipeline_job(item, item.cores),
            process_started_s=time.monotonic(),
            runs=self._settings.runs,
            bulk_s=self._settings.bulk_s if "offline" in self._settings.scenarios else 0.0,
        )
        with start_single_stream(job) as process, self._monitor.watching(position, SINGLE_STREAM, process.pid):
            answer = process.answer(SingleStreamAnswer)
        item.engine_version = answer.engine_version
        item.rounds.append(self._with_energy(answer))

    def _measure_streams(self, position: int, item: _Measured) -> None:
        if item.error is not None:
            return

        def trial(n_streams: int) -> StreamTrial:
            # Bound to the cores of one, several cameras would share them.
            with self._monitor.watching(position, "multi-stream") as watch:
                return run_trial(
                    self._pipeline_job(item, ()),
                    n_streams,
                    frame_rate=self._settings.frame_rate,
                    seconds=self._settings.stream_s,
                    watching=watch,
                    tree=self._tree,
                )

        for made in find_most_streams(trial):
            item.stream_trials = (*item.stream_trials, made)

    def _measure_sustained(self, position: int, item: _Measured) -> None:
        if item.error is not None:
            return
        job = SustainedJob(pipeline=self._pipeline_job(item, item.cores), seconds=self._settings.sustained_s)
        with start_sustained(job) as process, self._monitor.watching(position, "sustained", process.pid):
            try:
                item.sustained = process.answer(SustainedRun)
            except KeyboardInterrupt:
                # What it has done so far, half an hour perhaps, is worth a moment. To write the answer takes 8 us a
                # frame, which takes 2 ms or more; both grow together on a slower machine.
                with suppress(FerEdgeError):
                    item.sustained = process.end(SustainedRun, within_s=5.0 + 0.01 * self._settings.sustained_s)
                raise

    def _pipeline_job(self, item: _Measured, cores: tuple[int, ...]) -> PipelineJob:
        return PipelineJob(
            name=f"{item.case.engine} {item.case.precision}",
            bundle=str(self._bundle.path.resolve()),
            pictures=tuple(str(frame.path) for frame in self._load),
            engine=item.case.engine,
            precision=item.case.precision,
            threads=item.threads,
            stages=None,
            cores=cores,
            min_face_px=self._settings.min_face_px,
            started_s=self._started_s,
        )

    def _with_energy(self, answer: SingleStreamAnswer) -> Round:
        measured = answer.measured
        # The energy of the last moments is known only after a reading that follows them.
        self._monitor.read_now()

        def steady(part: Steady) -> Steady:
            return dataclasses.replace(part, energy_j=self._monitor.energy_j(part.began_s, part.ended_s))

        bulk: BulkRun | None = measured.bulk
        if bulk is not None:
            energy_j = self._monitor.energy_j(answer.bulk_began_s, answer.bulk_ended_s)
            bulk = dataclasses.replace(bulk, energy_j=energy_j)
        return dataclasses.replace(measured, frame=steady(measured.frame), face=steady(measured.face), bulk=bulk)

    def _record(self, *, partial: bool) -> BenchRecord | None:
        kept = [item for item in self._measured if item.rounds]
        if not kept:
            return None
        machine = self._machine
        positions = {self._measured.index(item): number for number, item in enumerate(kept)}
        cases = tuple(self._case(item, machine.memory_bytes) for item in kept)
        return BenchRecord(
            schema=SCHEMA,
            created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            partial=partial,
            machine=machine,
            versions={"fer-edge": __version__, **package_versions(_PACKAGES)},
            bundle=self._bundle_identity,
            load=tuple(frame.identity for frame in self._load),
            settings=self._settings,
            circumstances=Circumstances(
                before=self._monitor.before,
                after=self._monitor.after,
                throttled=", ".join(self._monitor.throttled) or None,
                untold=self._monitor.untold,
                load_average=self._load_average,
                busy_percent=self._busy_percent,
                denied=self._sensors.describe_denied(),
            ),
            harness=self._cost(cases),
            cases=cases,
            failures=tuple(
                CaseFailure(case=item.name, step=item.failed_step, error=str(item.error))
                for item in self._measured
                if item.error is not None
            ),
            timeline=tuple(
                dataclasses.replace(point, case=None if point.case is None else positions.get(point.case))
                for point in self._monitor.points
            ),
            training=(),
        )

    def _case(self, item: _Measured, machine_memory_bytes: int) -> Case:
        return Case(
            engine=item.case.engine,
            engine_version=item.engine_version,
            precision=item.case.precision,
            threads=item.threads,
            cores=item.cores,
            stages={
                name: StageFile(
                    precision=variant.precision,
                    bytes=sum(entry.bytes for entry in variant.files()),
                    parameters=self._costs.get(name, (None, None))[0],
                    multiply_adds=self._costs.get(name, (None, None))[1],
                )
                for name, variant in item.case.variants.items()
            },
            summary=summarize_case(item.rounds, item.stream_trials, item.sustained, machine_memory_bytes),
            rounds=tuple(item.rounds),
            stream_trials=item.stream_trials,
            sustained=item.sustained,
        )

    def _cost(self, cases: Sequence[Case]) -> HarnessCost:
        wall_s = time.monotonic() - self._started_s
        overheads = [
            measured.loop_overhead_us / (10 * case.summary.frame["frame"].min_ms)
            for case in cases
            for measured in case.rounds
            if case.summary.frame["frame"].min_ms > 0
        ]
        return HarnessCost(
            watching_percent=round(100 * self._monitor.cpu_s / wall_s, 4),
            timing_percent=round(max(overheads, default=0.0), 4),
        )


def identify_machine(tree: SystemTree) -> MachineIdentity:
    """Return what this machine is."""
    board, processor, summary = recognise_board(tree), read_processor(tree), machine_summary()
    return MachineIdentity(
        board=board.slug,
        model=board.model,
        architecture=str(summary["architecture"]),
        cpu=processor.model if processor.model != "unknown" else str(summary["cpu"]),
        cores=int(summary["cores"]),
        memory_bytes=int(summary["memory_bytes"]),
        system=str(summary["system"]),
        python=str(summary["python"]),
        int8_features=tuple(name for name in INT8_FEATURES if name in processor.features),
    )


def identify_bundle(bundle: Bundle) -> BundleIdentity:
    """Return what a bundle is known by."""
    architecture = _at(bundle.manifest.provenance, "classifier", "model", "architecture")
    return BundleIdentity(
        name=bundle.manifest.name,
        version=bundle.manifest.version,
        manifest_sha256=sha256_hex(bundle.manifest_bytes),
        classifier=architecture if isinstance(architecture, str) else None,
    )


def costs_of_stages(provenance: Mapping[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    """Return parameters and multiply-adds of each stage, of those that a bundle's provenance states.

    What a provenance holds is free: anything of another form than fer-edge's own is passed over.
    """
    of_classifier = _at(provenance, "classifier", "model", "parameters"), _at(provenance, "arithmetic", "multiply_adds")
    found = {"classifier": (_count(of_classifier[0]), _count(of_classifier[1]))}
    for name in ("pnet", "rnet", "onet"):
        found[name] = (_count(_at(provenance, "detector", "files", name, "parameters")), None)
    return found


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(content, Mapping):
            return None
        content = content.get(key)
    return content


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
