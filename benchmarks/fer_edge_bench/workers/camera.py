"""One of several cameras at once: frames come at a fixed rate whether or not the pipeline is free.

A frame that waits is replaced by the next one, as in a camera's buffer of one frame: it counts as dropped.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent
from fer_edge_bench.workers.pipeline_job import PipelineJob, open_pipeline

__all__ = ["CameraAnswer", "CameraJob", "start_camera"]

# Decoded, a picture of 12 megapixels is 36 MB, and every camera has its own.
_MAX_PICTURES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraJob:
    """A camera.

    Attributes:
        pipeline: of the case.
        first_frame_s: time.monotonic() at which its first frame comes; all cameras are ready before theirs.
        frame_rate: frames per second.
        frames: that come, at least one.
    """

    pipeline: PipelineJob
    first_frame_s: float
    frame_rate: float
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraAnswer:
    """What became of the frames.

    Attributes:
        late: the pipeline was not ready when the first frame came, so that the figures are of no use.
        latencies_ms: from the coming of each frame looked at to its faces.
        memory_bytes: PSS at the end, or resident memory where the kernel does not tell.
    """

    late: bool
    latencies_ms: tuple[float, ...]
    memory_bytes: int


def start_camera(job: CameraJob) -> FreshProcess:
    """Start the process; its answer is a CameraAnswer."""
    what = f"a camera with {job.pipeline.name}"
    return FreshProcess(__name__, job, threads=job.pipeline.threads, what=what)


def _watch(job: CameraJob) -> CameraAnswer:
    die_with_parent()
    pipeline = open_pipeline(job.pipeline)
    import os

    from fer_edge.images import read_image
    from fer_edge_bench.procfs import proportional_memory_bytes, resident_memory_bytes

    # A camera hands over pixels: the pictures are decoded before, of many some from all over the load.
    names = job.pipeline.pictures
    frames = [read_image(Path(name)) for name in names[:: math.ceil(len(names) / _MAX_PICTURES)]]
    for frame_bgr in frames:
        pipeline(frame_bgr)
    late = time.monotonic() > job.first_frame_s
    latencies_ms: list[float] = []
    number = 0
    while number < job.frames:
        came_s = job.first_frame_s + number / job.frame_rate
        time.sleep(max(came_s - time.monotonic(), 0.0))
        pipeline(frames[number % len(frames)])
        ended_s = time.monotonic()
        latencies_ms.append(round(1000 * (ended_s - came_s), 3))
        # The newest frame that has come; one that is just coming is waited for.
        newest = math.floor((ended_s - job.first_frame_s) * job.frame_rate)
        number = max(number + 1, newest)
    memory_bytes = proportional_memory_bytes() or resident_memory_bytes(os.getpid()) or 0
    return CameraAnswer(late=late, latencies_ms=tuple(latencies_ms), memory_bytes=memory_bytes)


if __name__ == "__main__":
    answer_job(CameraJob, _watch)
