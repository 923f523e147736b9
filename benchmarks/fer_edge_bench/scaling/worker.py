"""A case's round in a fresh process: stages and peak, the parts of a frame, crowds, and frame sizes."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent
from fer_edge_bench.samples import FrameWork
from fer_edge_bench.scaling.samples import CrowdPoint, PixelPoint, ScalingRound, SplitSamples, StageSamples
from fer_edge_bench.workers.pipeline_job import PipelineJob, open_pipeline

if TYPE_CHECKING:
    from fer_edge import EmotionPipeline
    from fer_edge.stage import Pixels, Stage

__all__ = ["ScalingAnswer", "ScalingJob", "start_scaling"]

_DIGITS = 4  # of milliseconds
_WARM_UP_RUNS = 3
_CLOCK_RUNS = 20000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingJob:
    """What to measure.

    Attributes:
        pipeline: of the case, with the pictures.
        passes: over the pictures, and runs of each other frame.
        descending: take crowds and sizes from the largest down.
    """

    pipeline: PipelineJob
    passes: int
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingAnswer:
    """What was measured, name and version of the library, and the precision of each stage."""

    engine_version: str
    precisions: Mapping[str, str]
    measured: ScalingRound


@dataclass(slots=True)
class _Clock:
    """What calls of OpenCV have taken so far."""

    seconds: float = 0.0
    calls: int = 0


def start_scaling(job: ScalingJob) -> FreshProcess:
    """Start the process; its answer is a ScalingAnswer."""
    return FreshProcess(__name__, job, threads=job.pipeline.threads, what=f"measuring {job.pipeline.name}")


def _measure(job: ScalingJob) -> ScalingAnswer:
    die_with_parent()
    pipeline = open_pipeline(job.pipeline)
    from fer_edge.images import read_image

    frames = [read_image(Path(name)) for name in job.pipeline.pictures]
    stages = _stages_of(pipeline)
    return ScalingAnswer(
        engine_version=pipeline.engine_version,
        precisions={name: stage.variant.precision for name, stage in stages.items()},
        measured=ScalingRound(
            stages=_measure_stages(pipeline, frames, job),
            split=_measure_split(pipeline, frames, job.passes),
            crowd=_measure_crowds(pipeline, job),
            pixels=_measure_sizes(pipeline, job),
        ),
    )


def _stages_of(pipeline: EmotionPipeline) -> dict[str, Stage]:
    return {**pipeline.detector.stages, "classifier": pipeline.classifier.stage}


def _measure_stages(pipeline: EmotionPipeline, frames: list[Pixels], job: ScalingJob) -> StageSamples:
    stages = _stages_of(pipeline)
    work = tuple(_work_of(pipeline, frame) for frame in frames)
    convolutions = _open_convolutions(stages, job.pipeline)
    for _ in range(_WARM_UP_RUNS):
        for run in convolutions.values():
            run()
        for frame in frames:
            pipeline(frame)
    frame_ms: list[float] = []
    engine_ms: dict[str, list[float]] = {name: [] for name in stages}
    peak_ms: dict[str, list[float]] = {name: [] for name in convolutions}
    clock = time.perf_counter
    for _ in range(job.passes):
        for frame in frames:
            before = {name: stage.engine_s for name, stage in stages.items()}
            started = clock()
            pipeline.analyse(frame)
            frame_ms.append(_ms(clock() - started))
            for name, stage in stages.items():
                engine_ms[name].append(_ms(stage.engine_s - before[name]))
        for name, run in convolutions.items():
            started = clock()
            run()
            peak_ms[name].append(_ms(clock() - started))
    return StageSamples(
        work=work,
        inputs=tuple(range(len(frames))) * job.passes,
        frame_ms=tuple(frame_ms),
        engine_ms={name: tuple(samples) for name, samples in engine_ms.items()},
        peak_ms={name: tuple(samples) for name, samples in peak_ms.items()},
    )


def _open_convolutions(stages: Mapping[str, Stage], job: PipelineJob) -> dict[str, Callable[[], object]]:
    """Load the engine's large convolutions in the stages' precisions; none for an engine that has none."""
    import numpy as np

    from fer_edge.engines import EngineOptions, load_engine
    from fer_edge_bench.scaling.peak import peak_precision, read_contents, read_peak_models

    wanted = {(stage.variant.engine, peak_precision(stage.variant.precision)) for stage in stages.values()}
    engine = load_engine(job.engine or stages["pnet"].variant.engine)
    found: dict[str, Callable[[], object]] = {}
    for model in read_peak_models().models:
        if (model.engine, model.precision) not in wanted:
            continue
        content, *weights = read_contents(model)
        session = engine.load(content, EngineOptions(threads=job.threads), weights=weights[0] if weights else None)
        (spec,) = session.inputs
        shape = tuple(length or 1 for length in spec.shape)
        values = np.random.RandomState(0).random_sample(shape) * 2 - 1
        if spec.dtype != "float32":
            # The whole range of quantized values.
            values = values * 127 + (128 if spec.dtype == "uint8" else 0)
        array = np.ascontiguousarray(values.astype(spec.dtype))
        found[f"{model.name} {model.precision}"] = partial(session.run, array)
    return found


def _measure_split(pipeline: EmotionPipeline, frames: list[Pixels], passes: int) -> SplitSamples:
    stages = _stages_of(pipeline).values()
    samples: list[tuple[float, float, float, int]] = []
    with _clocked_opencv() as opencv:
        for position in range((1 + passes) * len(frames)):
            frame = frames[position % len(frames)]
            engine_before, opencv_before, calls_before = sum(s.engine_s for s in stages), opencv.seconds, opencv.calls
            started = time.perf_counter()
            pipeline.analyse(frame)
            frame_s = time.perf_counter() - started
            engine_s = sum(s.engine_s for s in stages) - engine_before
            samples.append((frame_s, engine_s, opencv.seconds - opencv_before, opencv.calls - calls_before))
    # The first pass met wrapped functions for the first time.
    kept = samples[len(frames) :]
    return SplitSamples(
        frame_ms=tuple(_ms(sample[0]) for sample in kept),
        engine_ms=tuple(_ms(sample[1]) for sample in kept),
        opencv_ms=tuple(_ms(sample[2]) for sample in kept),
        opencv_calls=tuple(sample[3] for sample in kept),
        clock_us=_clock_us(),
    )


@contextmanager
def _clocked_opencv() -> Iterator[_Clock]:
    """Put a clock around every function of the module cv2 meanwhile; callers look them up in the module."""
    from fer_edge._cv2 import import_cv2

    cv2, clock = import_cv2(), _Clock()
    originals = {name: value for name, value in vars(cv2).items() if isinstance(value, types.BuiltinFunctionType)}
    for name, function in originals.items():
        setattr(cv2, name, _clocked(function, clock))
    try:
        yield clock
    finally:
        for name, function in originals.items():
            setattr(cv2, name, function)


def _clocked(function: Callable[..., Any], clock: _Clock) -> Callable[..., Any]:
    now = time.perf_counter

    def clocked(*arguments: Any, **options: Any) -> Any:
        started = now()
        result = function(*arguments, **options)
        clock.seconds += now() - started
        clock.calls += 1
        return result

    return clocked


def _clock_us() -> float:
    """Return what a clock around a call adds to it, by a function that does nothing."""

    def nothing() -> None:
        return None

    def seconds(function: Callable[[], object]) -> float:
        started = time.perf_counter()
        for _ in range(_CLOCK_RUNS):
            function()
        return time.perf_counter() - started

    clocked = _clocked(nothing, _Clock())
    return round(1e6 * max(seconds(clocked) - seconds(nothing), 0.0) / _CLOCK_RUNS, 4)


def _measure_crowds(pipeline: EmotionPipeline, job: ScalingJob) -> tuple[CrowdPoint, ...]:
    """Take the frames in turns, all of one size, so that what changes with time meets all alike."""
    from fer_edge_bench.scaling.frames import CROWDS, crowd_frame

    frames = {n: crowd_frame(n) for n in CROWDS}
    work = {n: _work_of(pipeline, frame) for n, frame in frames.items()}
    taken: dict[int, list[tuple[float, float, float]]] = {n: [] for n in CROWDS}
    order = list(reversed(CROWDS)) if job.descending else list(CROWDS)
    for _ in range(job.passes):
        for n in order:
            started = time.perf_counter()
            analysis = pipeline.analyse(frames[n])
            frame_s = time.perf_counter() - started
            rnet_ms, onet_ms = (round(analysis.stages_ms[name], _DIGITS) for name in ("rnet", "onet"))
            taken[n].append((_ms(frame_s), rnet_ms, onet_ms))
    return tuple(
        CrowdPoint(
            asked=n,
            work=work[n],
            frame_ms=tuple(sample[0] for sample in taken[n]),
            rnet_ms=tuple(sample[1] for sample in taken[n]),
            onet_ms=tuple(sample[2] for sample in taken[n]),
        )
        for n in CROWDS
    )


def _measure_sizes(pipeline: EmotionPipeline, job: ScalingJob) -> tuple[PixelPoint, ...]:
    """Take one size after the other: a pipeline plans anew for each change of size."""
    from fer_edge_bench.scaling.frames import FRAME_SIZES_WH, padded_frame

    points: dict[tuple[int, int], PixelPoint] = {}
    for size_wh in reversed(FRAME_SIZES_WH) if job.descending else FRAME_SIZES_WH:
        frame = padded_frame(size_wh)
        for _ in range(_WARM_UP_RUNS):
            work = _work_of(pipeline, frame)
        taken = []
        for _ in range(job.passes):
            started = time.perf_counter()
            pipeline.analyse(frame)
            taken.append(_ms(time.perf_counter() - started))
        points[size_wh] = PixelPoint(size_wh=size_wh, work=work, frame_ms=tuple(taken))
    return tuple(points[size_wh] for size_wh in FRAME_SIZES_WH)


def _work_of(pipeline: EmotionPipeline, frame: Pixels) -> FrameWork:
    stages = pipeline.detector.stages
    before = {name: stage.n_images for name, stage in stages.items()}
    n_faces = len(pipeline(frame))
    return FrameWork(
        n_faces=n_faces,
        pnet_sizes_wh=pipeline.detector.pnet_sizes_wh,
        rnet_crops=stages["rnet"].n_images - before["rnet"],
        onet_crops=stages["onet"].n_images - before["onet"],
    )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, _DIGITS)


if __name__ == "__main__":
    answer_job(ScalingJob, _measure)
