"""Finds the fastest engine, precision and threads of each stage on this machine, by measuring.

First every stage alone, on every engine that is installed, in every precision of the bundle, with every number of
threads. What is fastest stage by stage is then measured as a whole pipeline in fresh processes that take turns, beside
what the runtime would take by itself: two engines in one process may get in each other's way, and each costs memory.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from fer_edge.bundle import Bundle
from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.engines import files_name
from fer_edge.errors import GateError
from fer_edge.files import sha256_hex
from fer_edge.stage import choose_variant
from fer_edge.tuning import SCHEMA, StageChoice, Tuning, machine_key
from fer_edge_bench.bootstrap import ratio_interval
from fer_edge_bench.cores import choose_cores
from fer_edge_bench.harness import whole_passes
from fer_edge_bench.load import LoadFrame
from fer_edge_bench.statistics import percentile
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_bench.workers.single_stream import SingleStreamAnswer, SingleStreamJob, start_single_stream
from fer_edge_bench.workers.stages import StagesAnswer, StagesJob, StageTime, start_stages
from fer_edge_devices.system_tree import SystemTree

__all__ = ["Candidate", "Measured", "TuneOutcome", "candidates_of", "choose", "describe", "tune"]

Choices = Mapping[str, StageChoice]
Progress = Callable[[int, int, str], None]

# As many processes as make an interval of a ratio worth its name; see fer_edge_bench.compare.
_ROUNDS = 4
_RUNS = 24
# Of what is predicted to be fastest, so many are measured as a whole, beside the default.
_N_WHOLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What each stage might run on, and what the stages alone took together, in ms."""

    stages: Choices
    stages_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A candidate as a whole pipeline.

    Attributes:
        stages: of the candidate.
        frames_ms: the samples of each process.
        peak_memory_bytes: the largest of the processes.
    """

    stages: Choices
    frames_ms: tuple[tuple[float, ...], ...]
    peak_memory_bytes: int

    @property
    def frame_ms(self) -> float:
        """Return the median over all processes."""
        return percentile([sample for process in self.frames_ms for sample in process], 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOutcome:
    """What was chosen and what it was chosen from, the default first."""

    tuning: Tuning
    measured: tuple[Measured, ...]


def tune(
    bundle: Bundle,
    engine_versions: Mapping[str, str],
    load: Sequence[LoadFrame],
    *,
    threads: Sequence[int],
    min_face_px: float,
    max_memory_bytes: int | None,
    progress: Progress,
) -> TuneOutcome:
    """Measure, and return the fastest choice.

    Args:
        bundle: the models.
        engine_versions: of the engines to choose from, by name, in the runtime's order of preference; at least one.
        load: pictures.
        threads: numbers to choose from.
        min_face_px: smallest face looked for.
        max_memory_bytes: that a process may take at its peak; None for any.
        progress: told how many steps of how many are done, and what is being measured.

    Raises:
        GateError: no choice keeps within `max_memory_bytes`.
        FerEdgeError: a process failed.
    """
    tree, available = SystemTree(), sorted(os.sched_getaffinity(0))
    pictures = tuple(str(frame.path) for frame in load)
    n_alone = len(engine_versions) * len(threads)
    n_steps = n_alone + _ROUNDS * (1 + _N_WHOLE)
    times: dict[tuple[str, int], tuple[StageTime, ...]] = {}
    for engine, n_threads in itertools.product(engine_versions, threads):
        progress(len(times), n_steps, f"{engine}, {n_threads} thread{'s' if n_threads > 1 else ''}: each stage alone")
        job = StagesJob(
            bundle=str(bundle.path.resolve()),
            pictures=pictures,
            engine=engine,
            threads=n_threads,
            cores=choose_cores(available, n_threads, tree),
            min_face_px=min_face_px,
            runs=whole_passes(_RUNS, len(load)),
        )
        with start_stages(job) as process:
            times[engine, n_threads] = process.answer(StagesAnswer).times
    default = _default_choices(bundle, next(iter(engine_versions)))
    others = [found.stages for found in candidates_of(times) if found.stages != default][:_N_WHOLE]
    frames: list[list[tuple[float, ...]]] = [[] for _ in range(1 + len(others))]
    peaks = [0] * len(frames)
    for number in range(_ROUNDS):
        for position, stages in enumerate((default, *others)):
            progress(n_alone + number * len(frames) + position, n_steps, f"whole: {describe(stages)}")
            most = max(choice.threads for choice in stages.values())
            with start_single_stream(
                SingleStreamJob(
                    pipeline=PipelineJob(
                        name=describe(stages),
                        bundle=str(bundle.path.resolve()),
                        pictures=pictures,
                        engine=None,
                        precision=None,
                        threads=most,
                        stages=stages,
                        cores=choose_cores(available, most, tree),
                        min_face_px=min_face_px,
                        started_s=time.monotonic(),
                    ),
                    process_started_s=time.monotonic(),
                    runs=whole_passes(_RUNS, len(load)),
                    bulk_s=0.0,
                )
            ) as process:
                answer = process.answer(SingleStreamAnswer)
            frames[position].append(answer.measured.frame.samples_ms["frame"])
            peaks[position] = max(peaks[position], answer.measured.peak_memory_bytes)
    measured = tuple(
        Measured(stages=stages, frames_ms=tuple(samples), peak_memory_bytes=peak)
        for stages, samples, peak in zip((default, *others), frames, peaks, strict=True)
    )
    chosen = choose(measured, max_memory_bytes)
    return TuneOutcome(
        tuning=Tuning(
            schema=SCHEMA,
            created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            manifest_sha256=sha256_hex(bundle.manifest_bytes),
            machine=machine_key(),
            engine_versions={
                name: engine_versions[name] for name in dict.fromkeys(item.engine for item in chosen.stages.values())
            },
            stages=chosen.stages,
            frame_ms=round(chosen.frame_ms, 4),
            default_frame_ms=round(measured[0].frame_ms, 4),
            peak_memory_bytes=chosen.peak_memory_bytes,
            default_peak_memory_bytes=measured[0].peak_memory_bytes,
            min_face_px=min_face_px,
        ),
        measured=measured,
    )


def candidates_of(times: Mapping[tuple[str, int], Sequence[StageTime]]) -> list[Candidate]:
    """Return for every set of engines what is fastest stage by stage, the fastest set first, none twice.

    Args:
        times: of the stages alone, by engine and number of threads.
    """
    engines = list(dict.fromkeys(engine for engine, _ in times))
    found: dict[tuple[tuple[str, StageChoice], ...], Candidate] = {}
    for size in range(1, len(engines) + 1):
        for chosen in itertools.combinations(engines, size):
            best: dict[str, tuple[float, StageChoice]] = {}
            for (engine, n_threads), of_stages in times.items():
                if engine not in chosen:
                    continue
                for item in of_stages:
                    choice = StageChoice(engine=engine, precision=item.precision, threads=n_threads)
                    if item.stage not in best or item.frame_ms < best[item.stage][0]:
                        best[item.stage] = (item.frame_ms, choice)
            if set(best) == set(STAGE_NAMES):
                stages = {name: best[name][1] for name in STAGE_NAMES}
                total_ms = sum(frame_ms for frame_ms, _ in best.values())
                found.setdefault(tuple(stages.items()), Candidate(stages=stages, stages_ms=total_ms))
    return sorted(found.values(), key=lambda candidate: candidate.stages_ms)


def choose(measured: Sequence[Measured], max_memory_bytes: int | None) -> Measured:
    """Return the fastest that keeps within the memory; the default unless another one is faster beyond doubt.

    Args:
        measured: the default first.
        max_memory_bytes: None for any.

    Raises:
        GateError: none keeps within it.
    """
    allowed = [item for item in measured if max_memory_bytes is None or item.peak_memory_bytes <= max_memory_bytes]
    if not allowed:
        least = min(item.peak_memory_bytes for item in measured)
        raise GateError(
            f"memory: expected at most {(max_memory_bytes or 0) / 1e6:.0f} MB, found {least / 1e6:.0f} MB for the "
            "smallest choice; allow more, or install a smaller engine (litert)"
        )
    best = min(allowed, key=lambda item: item.frame_ms)
    default = measured[0]
    if default in allowed and best is not default and ratio_interval(best.frames_ms, default.frames_ms, 50)[1] >= 1:
        return default
    return best


def describe(stages: Choices) -> str:
    """Return the choices in a line, stages with the same one together: "pnet, rnet: onnx float32; …"."""
    by_choice: dict[StageChoice, list[str]] = {}
    for name in STAGE_NAMES:
        by_choice.setdefault(stages[name], []).append(name)
    parts = []
    for choice, names in by_choice.items():
        threads = f", {choice.threads} threads" if choice.threads > 1 else ""
        parts.append(f"{', '.join(names)}: {choice.engine} {choice.precision}{threads}")
    return "; ".join(parts)


def _default_choices(bundle: Bundle, engine: str) -> dict[str, StageChoice]:
    """Return what the runtime takes by itself: the preferred engine, the bundle's first precision, one thread."""
    return {
        name: StageChoice(engine=engine, precision=choose_variant(spec, files_name(engine)).precision, threads=1)
        for name, spec in ((name, bundle.manifest.stages[name]) for name in STAGE_NAMES)
    }
