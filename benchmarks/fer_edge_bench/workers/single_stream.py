"""One camera's work in a fresh process: from its start to the first faces, then picture by picture in steady state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent
from fer_edge_bench.samples import FRAME_SERIES, BulkRun, FrameWork, Round, Steady
from fer_edge_bench.workers.pipeline_job import PipelineJob, open_pipeline

if TYPE_CHECKING:
    from fer_edge import EmotionPipeline
    from fer_edge.stage import Pixels

__all__ = ["SingleStreamAnswer", "SingleStreamJob", "start_single_stream"]

# The side of FER-2013's faces, and of the input of the networks compared with.
_FACE_PX = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleStreamJob:
    """What to measure.

    Attributes:
        pipeline: of the case.
        process_started_s: time.monotonic() just before the process was started.
        runs: samples of each series, whole passes over the pictures.
        bulk_s: how long to go through all pictures in bulk after that; 0 for not at all.
    """

    pipeline: PipelineJob
    process_started_s: float
    runs: int
    bulk_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleStreamAnswer:
    """What was measured, name and version of the library that ran the models, and when the bulk began and ended.

    `energy_j` is not known in this process; times are seconds since the benchmark's start.
    """

    engine_version: str
    measured: Round
    bulk_began_s: float
    bulk_ended_s: float


def start_single_stream(job: SingleStreamJob) -> FreshProcess:
    """Start the process; its answer is a SingleStreamAnswer."""
    what = f"measuring {job.pipeline.name}"
    return FreshProcess(__name__, job, threads=job.pipeline.threads, what=what)


def _measure(job: SingleStreamJob) -> SingleStreamAnswer:
    # What the pipeline itself does not need is imported after its start, which is being timed.
    pipeline = open_pipeline(job.pipeline)
    from fer_edge.images import read_image

    paths = [Path(name) for name in job.pipeline.pictures]
    pipeline(read_image(paths[0]))
    cold_start_ms = 1000 * (time.monotonic() - job.process_started_s)
    die_with_parent()

    from fer_edge_bench.measure import loop_overhead_us
    from fer_edge_bench.procfs import peak_memory_bytes, proportional_memory_bytes

    frame = _measure_frames(pipeline, paths, job)
    face = _measure_face(pipeline, read_image(paths[0]), job)
    peak_bytes, proportional_bytes = peak_memory_bytes(), proportional_memory_bytes()
    began_s = time.monotonic() - job.pipeline.started_s
    bulk = _measure_bulk(pipeline, paths, job.bulk_s) if job.bulk_s else None
    return SingleStreamAnswer(
        engine_version=pipeline.engine_version,
        measured=Round(
            cold_start_ms=round(cold_start_ms, 3),
            peak_memory_bytes=peak_bytes,
            proportional_memory_bytes=proportional_bytes,
            loop_overhead_us=loop_overhead_us(FRAME_SERIES),
            work=tuple(_work_of(pipeline, read_image(path)) for path in paths),
            frame=frame,
            face=face,
            bulk=bulk,
        ),
        bulk_began_s=began_s,
        bulk_ended_s=began_s + (bulk.wall_s if bulk else 0.0),
    )


def _measure_frames(pipeline: EmotionPipeline, paths: list[Path], job: SingleStreamJob) -> Steady:
    from fer_edge.images import decode_image
    from fer_edge_bench.measure import measure_steady

    stages = [*pipeline.detector.stages.values(), pipeline.classifier.stage]
    clock = time.perf_counter

    def analyse(position: int) -> dict[str, float]:
        path = paths[position]
        data = _read(path)
        engine_before_s = sum(stage.engine_s for stage in stages)
        started = clock()
        frame_bgr = decode_image(data, path.name)
        decoded = clock()
        analysis = pipeline.analyse(frame_bgr)
        ended = clock()
        engine_s = sum(stage.engine_s for stage in stages) - engine_before_s
        return {
            "decode": 1000 * (decoded - started),
            "frame": 1000 * (ended - decoded),
            **analysis.stages_ms,
            "engine": 1000 * engine_s,
        }

    return measure_steady(analyse, len(paths), job.runs, since_s=job.pipeline.started_s)


def _read(path: Path) -> bytes:
    from fer_edge.errors import InputError

    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; leave the pictures where they are") from error


def _measure_face(pipeline: EmotionPipeline, frame_bgr: Pixels, job: SingleStreamJob) -> Steady:
    from fer_edge_bench.measure import measure_steady

    face = _one_face(pipeline, frame_bgr)
    stage = pipeline.classifier.stage
    clock = time.perf_counter

    def classify(_: int) -> dict[str, float]:
        engine_before_s = stage.engine_s
        started = clock()
        pipeline.classifier(face)
        ended = clock()
        return {"face": 1000 * (ended - started), "engine": 1000 * (stage.engine_s - engine_before_s)}

    return measure_steady(classify, 1, job.runs, since_s=job.pipeline.started_s)


def _measure_bulk(pipeline: EmotionPipeline, paths: list[Path], seconds: float) -> BulkRun:
    """Go through all pictures, decoding included, until the time is over; the pass that has begun is ended."""
    from fer_edge.images import read_image
    from fer_edge_bench.measure import difference
    from fer_edge_bench.procfs import cpu_seconds

    photos, cpu_before, began = 0, cpu_seconds(), time.perf_counter()
    while photos == 0 or time.perf_counter() - began < seconds:
        for path in paths:
            pipeline(read_image(path))
        photos += len(paths)
    wall_s = time.perf_counter() - began
    return BulkRun(
        photos=photos, wall_s=round(wall_s, 6), process_cpu=difference(cpu_before, cpu_seconds()), energy_j=None
    )


def _work_of(pipeline: EmotionPipeline, frame_bgr: Pixels) -> FrameWork:
    stages = pipeline.detector.stages
    before = {name: stage.n_images for name, stage in stages.items()}
    n_faces = len(pipeline(frame_bgr))
    looked_at = {name: stage.n_images - before[name] for name, stage in stages.items()}
    return FrameWork(
        n_faces=n_faces,
        pnet_sizes_wh=pipeline.detector.pnet_sizes_wh,
        rnet_crops=looked_at["rnet"],
        onet_crops=looked_at["onet"],
    )


def _one_face(pipeline: EmotionPipeline, frame: Pixels) -> Pixels:
    """Return uint8 (48, 48): the first face found in a picture, or its middle where none is."""
    import numpy as np

    from fer_edge.preprocess import crop_square, face_pixels

    found = pipeline(frame)
    if found:
        box = found[0].box_xyxy
    else:
        height, width = frame.shape[:2]
        half = min(height, width) / 2
        box = np.array([width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half], dtype=np.float32)
    crop = crop_square(frame, box, pipeline.classifier.crop_margin)
    return face_pixels(crop, (_FACE_PX, _FACE_PX), 1)[..., 0]


if __name__ == "__main__":
    answer_job(SingleStreamJob, _measure)
