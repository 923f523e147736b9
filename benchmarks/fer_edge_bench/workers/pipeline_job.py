"""What every worker is told, and the pipeline made of it.

Nothing here imports what the pipeline itself does not need: the start of the process is being timed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_edge.tuning import StageChoice

if TYPE_CHECKING:
    from fer_edge import EmotionPipeline

__all__ = ["PipelineJob", "open_pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineJob:
    """A case to measure.

    Attributes:
        name: of the case, as errors call it.
        bundle: absolute path.
        pictures: absolute paths, at least one.
        engine, precision: of the case, the precision the classifier's; None where `stages` says it.
        threads: that the engine may use, and numpy and OpenCV.
        stages: engine, precision and threads of each stage; None where all have the case's.
        cores: to bind the process to; empty for none.
        min_face_px: smallest face looked for.
        started_s: time.monotonic() at the benchmark's start; one clock for the whole system.
    """

    name: str
    bundle: str
    pictures: tuple[str, ...]
    engine: str | None
    precision: str | None
    threads: int
    stages: Mapping[str, StageChoice] | None
    cores: tuple[int, ...]
    min_face_px: float
    started_s: float


def open_pipeline(job: PipelineJob) -> EmotionPipeline:
    """Bind this process to the job's cores and load the job's pipeline."""
    if job.cores:
        # What fer_edge_bench.cores does; its import would be timed.
        import os

        os.sched_setaffinity(0, job.cores)
    from fer_edge import EmotionPipeline

    if job.stages is not None:
        return EmotionPipeline(job.bundle, min_face_px=job.min_face_px, stages=job.stages)
    return EmotionPipeline(
        job.bundle,
        engine=job.engine,
        precision=job.precision,
        min_face_px=job.min_face_px,
        threads=job.threads,
    )
