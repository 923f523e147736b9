"""Each stage of a pipeline alone, in every precision that a bundle has for one engine, in a fresh process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fer_edge import EmotionPipeline
    from fer_edge.stage import Pixels, Stage

__all__ = ["StageTime", "StagesAnswer", "StagesJob", "start_stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesJob:
    """What to measure.

    Attributes:
        bundle: absolute path.
        pictures: absolute paths; the stages get what these pictures give them.
        engine: of all stages.
        threads: that it may use.
        cores: to bind the process to; empty for none.
        min_face_px: smallest face looked for.
        runs: samples of each stage, whole passes over the pictures.
    """

    bundle: str
    pictures: tuple[str, ...]
    engine: str
    threads: int
    cores: tuple[int, ...]
    min_face_px: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """How long a stage takes for a frame: the median over the pictures, in ms."""

    stage: str
    precision: str
    frame_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesAnswer:
    """What was measured, and name and version of the library."""

    engine_version: str
    times: tuple[StageTime, ...]


def start_stages(job: StagesJob) -> FreshProcess:
    """Start the process; its answer is a StagesAnswer."""
    what = f"measuring the stages on {job.engine}"
    return FreshProcess(__name__, job, threads=job.threads, what=what)


def _measure(job: StagesJob) -> StagesAnswer:
    import os

    if job.cores:
        os.sched_setaffinity(0, job.cores)
    die_with_parent()
    from fer_edge import Bundle, EmotionPipeline
    from fer_edge.engines import files_name, load_engine
    from fer_edge.images import read_image
    from fer_edge.stage import Stage

    pipeline = EmotionPipeline(job.bundle, engine=job.engine, min_face_px=job.min_face_px, threads=job.threads)
    stages = {**pipeline.detector.stages, "classifier": pipeline.classifier.stage}
    inputs = _inputs_of_stages(pipeline, stages, [read_image(Path(name)) for name in job.pictures])
    bundle, engine = Bundle.open(Path(job.bundle)), load_engine(job.engine)
    times: list[StageTime] = []
    for name, spec in bundle.manifest.stages.items():
        for variant in spec.variants:
            if variant.engine == files_name(job.engine):
                stage = Stage(
                    bundle,
                    name,
                    engine,
                    precision=variant.precision,
                    threads=job.threads,
                    batch_sizes=stages[name].batch_sizes,
                )
                frame_ms = _median_ms(stage, inputs[name], job.runs)
                times.append(StageTime(stage=name, precision=variant.precision, frame_ms=frame_ms))
    return StagesAnswer(engine_version=engine.version(), times=tuple(times))


def _inputs_of_stages(
    pipeline: EmotionPipeline, stages: Mapping[str, Stage], frames: list[Pixels]
) -> dict[str, list[Pixels]]:
    """Return what each of the pipeline's stages is given for each of the frames."""
    seen: dict[str, list[Pixels]] = {}

    def note(name: str, stage: Stage) -> None:
        run = stage.run

        def noting(pixels: Pixels) -> object:
            seen.setdefault(name, []).append(pixels.copy())
            return run(pixels)

        stage.run = noting  # type: ignore[method-assign, assignment]

    for name, stage in stages.items():
        note(name, stage)
    for frame_bgr in frames:
        pipeline(frame_bgr)
    return seen


def _median_ms(stage: Stage, inputs: list[Pixels], runs: int) -> float:
    from fer_edge_bench.measure import measure_steady
    from fer_edge_bench.statistics import percentile

    def work(position: int) -> dict[str, float]:
        started = time.perf_counter()
        stage.run(inputs[position])
        return {"stage": 1000 * (time.perf_counter() - started)}

    measured = measure_steady(work, len(inputs), runs)
    return round(percentile(measured.samples_ms["stage"], 50), 4)


if __name__ == "__main__":
    answer_job(StagesJob, _measure)
