"""What every worker is told, and the pipeline made of it.

Nothing here imports numpy or an engine before the pipeline does: the start of the process is being timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_edge import EmotionPipeline

__all__ = ["PipelineJob", "open_pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineJob:
    """A case to measure.

    Attributes:
        bundle: absolute path.
        pictures: absolute paths, at least one.
        engine, precision: of the case; the precision is the classifier's.
        threads: that the engine may use.
        cores: to bind the process to; empty for none.
        min_face_px: smallest face looked for.
        started_s: time.monotonic() at the benchmark's start; one clock for the whole system.
    """

    bundle: str
    pictures: tuple[str, ...]
    engine: str
    precision: str
    threads: int
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

    return EmotionPipeline(
        job.bundle,
        engine=job.engine,
        precision=job.precision,
        min_face_px=job.min_face_px,
        threads=job.threads,
    )
