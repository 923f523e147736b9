"""One process at work for minutes: what heat does to a board shows only then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge_bench.fresh_process import FreshProcess, answer_job
from fer_edge_bench.workers.pipeline_job import PipelineJob, open_pipeline

if TYPE_CHECKING:
    from fer_edge_bench.samples import SustainedRun

__all__ = ["SustainedJob", "start_sustained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SustainedJob:
    """A case, and for how many seconds it shall go on."""

    pipeline: PipelineJob
    seconds: float


def start_sustained(job: SustainedJob) -> FreshProcess:
    """Start the process; its answer is a SustainedRun."""
    what = f"sustained work of {job.pipeline.name}"
    return FreshProcess(__name__, job, threads=job.pipeline.threads, what=what)


def _work(job: SustainedJob) -> SustainedRun:
    pipeline = open_pipeline(job.pipeline)
    from array import array

    from fer_edge.images import read_image
    from fer_edge_bench.samples import SustainedRun

    paths = [Path(name) for name in job.pipeline.pictures]
    pipeline(read_image(paths[0]))
    # Half an hour of a fast machine is a million frames: 16 MB, not the 64 MB of a list of Python's numbers.
    ended_ms, frames_ms = array("d"), array("d")
    clock = time.monotonic
    began = clock()
    while not ended_ms or ended_ms[-1] < 1000 * job.seconds:
        frame_bgr = read_image(paths[len(ended_ms) % len(paths)])
        started = clock()
        pipeline(frame_bgr)
        ended = clock()
        frames_ms.append(1000 * (ended - started))
        ended_ms.append(1000 * (ended - began))
    return SustainedRun(
        began_s=round(began - job.pipeline.started_s, 6),
        ended_ms=tuple(round(value, 3) for value in ended_ms),
        frames_ms=tuple(round(value, 3) for value in frames_ms),
    )


if __name__ == "__main__":
    answer_job(SustainedJob, _work)
