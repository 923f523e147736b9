"""Frame after frame in a fresh process, with a look at its memory now and then."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent
from fer_edge_bench.scaling.samples import MemoryRun
from fer_edge_bench.workers.pipeline_job import PipelineJob, open_pipeline

__all__ = ["LOOK_EVERY", "MemoryJob", "start_memory"]

LOOK_EVERY = 500
# Of short runs, so that a line can be fitted through them too.
_LEAST_LOOKS = 20
# Frames of a video for which the picture stays: a second at 25 frames per second. Alone, each frame is another picture.
_HOLD_FRAMES = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryJob:
    """What to run: the case with its pictures, "pipeline" or "tracker", and the number of frames."""

    pipeline: PipelineJob
    kind: str
    frames: int


def start_memory(job: MemoryJob) -> FreshProcess:
    """Start the process; its answer is a MemoryRun."""
    what = f"{job.pipeline.name}, memory over {job.frames} frames"
    return FreshProcess(__name__, job, threads=job.pipeline.threads, what=what)


def _measure(job: MemoryJob) -> MemoryRun:
    die_with_parent()
    pipeline = open_pipeline(job.pipeline)
    from fer_edge import FaceTracker
    from fer_edge.images import read_image
    from fer_edge_bench.procfs import peak_memory_bytes, resident_memory_bytes

    pictures = [read_image(Path(name)) for name in job.pipeline.pictures]
    is_video = job.kind == "tracker"
    analyse = FaceTracker(pipeline).analyse if is_video else pipeline.analyse
    hold = _HOLD_FRAMES if is_video else 1
    step = max(min(LOOK_EVERY, job.frames // _LEAST_LOOKS), 1)
    looks: list[tuple[int, int, int]] = []
    started = time.perf_counter()
    for number in range(job.frames):
        analyse(pictures[number // hold % len(pictures)])
        done = number + 1
        if done % step == 0 or done == job.frames:
            looks.append((done, resident_memory_bytes(os.getpid()) or 0, peak_memory_bytes()))
    return MemoryRun(
        kind=job.kind,
        frames=job.frames,
        at_frame=tuple(look[0] for look in looks),
        resident_bytes=tuple(look[1] for look in looks),
        peak_bytes=tuple(look[2] for look in looks),
        wall_s=round(time.perf_counter() - started, 3),
    )


if __name__ == "__main__":
    answer_job(MemoryJob, _measure)
