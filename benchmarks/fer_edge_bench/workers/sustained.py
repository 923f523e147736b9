"""One process at work for minutes: what heat does to a board shows only then.

Asked to end by SIGTERM, SIGHUP or Ctrl-C it answers what it has.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent
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


class _EndWanted:
    """Whether a signal has asked this process to end; one that is ignored stays ignored.

    SIGTERM and SIGHUP may come more than once, from a shell, from `timeout` and from the parent. A second Ctrl-C is a
    person's, and ends the process.
    """

    def __init__(self) -> None:
        self._is_wanted = False
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def __bool__(self) -> bool:
        return self._is_wanted

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._is_wanted = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _work(job: SustainedJob) -> SustainedRun:
    die_with_parent()
    pipeline = open_pipeline(job.pipeline)
    from array import array

    from fer_edge.images import read_image
    from fer_edge_bench.samples import SustainedRun

    paths = [Path(name) for name in job.pipeline.pictures]
    pipeline(read_image(paths[0]))
    # Half an hour of a fast machine is a million frames: 16 MB, not the 64 MB of a list of Python's numbers.
    ended_ms, frames_ms = array("d"), array("d")
    clock, end_wanted = time.monotonic, _EndWanted()
    began = clock()
    while not ended_ms or (ended_ms[-1] < 1000 * job.seconds and not end_wanted):
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
