"""The fresh process that measures one case: from its start to the first faces, then photo by photo in steady state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_bench.fresh_process import answer_job, ask_fresh_process
from fer_edge_bench.samples import Round

if TYPE_CHECKING:
    from fer_edge import EmotionPipeline
    from fer_edge.stage import Pixels
    from fer_edge_bench.samples import PhotoSamples

__all__ = ["WorkerAnswer", "WorkerJob", "measure_in_fresh_process"]

# The side of FER-2013's faces, and of the input of the networks compared with.
_FACE_PX = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """What to measure.

    Attributes:
        started_s: time.monotonic() just before the process was started; one clock for the whole system.
        bundle, photos: absolute paths.
        engine, precision: of the case; the precision is the classifier's.
        threads: that the engine may use.
        runs: samples of each series.
        min_face_px: smallest face looked for.
    """

    started_s: float
    bundle: str
    photos: tuple[str, ...]
    engine: str
    precision: str
    threads: int
    runs: int
    min_face_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAnswer:
    """What was measured, and name and version of the library that ran the models."""

    engine_version: str
    measured: Round


def measure_in_fresh_process(job: WorkerJob) -> WorkerAnswer:
    """Start a process for the job and return what it measured.

    Raises:
        FerEdgeError: what the pipeline raised there, or the process crashed.
    """
    what = f"measuring {job.engine} {job.precision}"
    return ask_fresh_process(__name__, job, WorkerAnswer, threads=job.threads, what=what)


def _measure(job: WorkerJob) -> WorkerAnswer:
    # Imported here: what starts the processes does not need it, and the start of this one is being timed.
    from fer_edge import EmotionPipeline
    from fer_edge.images import read_image

    pipeline = EmotionPipeline(
        job.bundle,
        engine=job.engine,
        precision=job.precision,
        min_face_px=job.min_face_px,
        threads=job.threads,
    )
    first = read_image(Path(job.photos[0]))
    pipeline(first)
    cold_start_ms = 1000 * (time.monotonic() - job.started_s)

    from fer_edge_bench.measure import measure_steady
    from fer_edge_bench.procfs import peak_memory_bytes, proportional_memory_bytes

    photos = tuple(_measure_photo(pipeline, Path(name), job.runs) for name in job.photos)
    face = _one_face(pipeline, first)

    def classify() -> dict[str, float]:
        pipeline.classifier(face)
        return {}

    face_samples = measure_steady("face", classify, job.runs)
    return WorkerAnswer(
        engine_version=pipeline.engine_version,
        measured=Round(
            cold_start_ms=round(cold_start_ms, 3),
            peak_memory_bytes=peak_memory_bytes(),
            proportional_memory_bytes=proportional_memory_bytes(),
            face=face_samples,
            photos=photos,
        ),
    )


def _measure_photo(pipeline: EmotionPipeline, path: Path, runs: int) -> PhotoSamples:
    from fer_edge.images import decode_image, read_image
    from fer_edge_bench.measure import measure_steady
    from fer_edge_bench.samples import PhotoSamples

    frame = read_image(path)
    data = path.read_bytes()
    n_faces = len(pipeline(frame))

    def analyse() -> dict[str, float]:
        analysis = pipeline.analyse(frame)
        return {"detect": analysis.detect_ms, "classify": analysis.classify_ms}

    def decode() -> dict[str, float]:
        decode_image(data, path.name)
        return {}

    return PhotoSamples(
        size_wh=(frame.shape[1], frame.shape[0]),
        n_faces=n_faces,
        frame=measure_steady("frame", analyse, runs),
        decode=measure_steady("decode", decode, runs),
    )


def _one_face(pipeline: EmotionPipeline, frame: Pixels) -> Pixels:
    """Return uint8 (48, 48): the first face found in a photo, or its middle where none is."""
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
    answer_job(WorkerJob, _measure)
