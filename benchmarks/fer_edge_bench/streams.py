"""How many cameras a machine can serve at once: the largest number that loses no frame and does not fall behind."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from fer_edge.errors import FerEdgeError
from fer_edge_bench.fresh_process import FreshProcess
from fer_edge_bench.procfs import parse_kib_field
from fer_edge_bench.samples import StreamTrial
from fer_edge_bench.workers.camera import CameraAnswer, CameraJob, start_camera
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_devices.system_tree import SystemTree

__all__ = ["MIN_FRAMES", "find_most_streams", "frames_due", "run_trial"]

# Of each camera. What is 1 % too slow is one whole frame behind after a hundred of them; few frames show nothing.
MIN_FRAMES = 100
# Far more than a board serves.
_MAX_STREAMS = 64
_READY_S, _READY_S_EACH = 2.0, 1.5
_MAX_STARTS = 3


def find_most_streams(trial: Callable[[int], StreamTrial]) -> Iterator[StreamTrial]:
    """Try 1, 2, 4 … streams until one fails, halve the gap, try the best once more; give each trial when it is made.

    Where the best fails the second time, it counts as failed, and the search goes on below it. No number is tried that
    memory would not hold, by what the last trial took.

    Args:
        trial: makes one with a number of streams.
    """
    trials: list[StreamTrial] = []
    while (n_streams := _next_number(trials)) is not None:
        trials.append(trial(n_streams))
        yield trials[-1]


def frames_due(frame_rate: float, seconds: float) -> int:
    """Return how many frames each camera of a trial gives: those of the time, but MIN_FRAMES at least."""
    return max(math.floor(frame_rate * seconds), MIN_FRAMES)


def run_trial(
    pipeline: PipelineJob,
    n_streams: int,
    *,
    frame_rate: float,
    seconds: float,
    watching: Callable[[Sequence[int]], object],
    start: Callable[[CameraJob], FreshProcess] = start_camera,
    tree: SystemTree | None = None,
) -> StreamTrial:
    """Let cameras run at once, their frames spread evenly over the time between two.

    Args:
        pipeline: of each of them.
        n_streams: how many.
        frame_rate: frames per second of each.
        seconds: how long at least; see frames_due.
        watching: told the processes.
        start: starts one.
        tree: of the system.

    Raises:
        FerEdgeError: a process failed, or the machine is too busy to have all of them ready in time.
    """
    available_bytes = parse_kib_field((tree or SystemTree()).read_text("/proc/meminfo") or "", "MemAvailable")
    frames = frames_due(frame_rate, seconds)
    ready_s = _READY_S + _READY_S_EACH * n_streams
    for _ in range(_MAX_STARTS):
        first_s = time.monotonic() + ready_s
        jobs = [
            CameraJob(
                pipeline=pipeline,
                first_frame_s=first_s + number / (n_streams * frame_rate),
                frame_rate=frame_rate,
                frames=frames,
            )
            for number in range(n_streams)
        ]
        with ExitStack() as stack:
            processes = [stack.enter_context(start(job)) for job in jobs]
            watching([process.pid for process in processes])
            for process in processes:
                process.hand_over()
            answers = [process.answer(CameraAnswer) for process in processes]
        if not any(answer.late for answer in answers):
            due = n_streams * frames
            return StreamTrial(
                n_streams=n_streams,
                period_ms=1000 / frame_rate,
                due=due,
                dropped=due - sum(len(answer.latencies_ms) for answer in answers),
                latencies_ms=tuple(answer.latencies_ms for answer in answers),
                memory_bytes=sum(answer.memory_bytes for answer in answers),
                available_bytes=available_bytes,
            )
        ready_s *= 2
    raise FerEdgeError(
        f"{n_streams} cameras: expected all to be ready within {ready_s / 2:.0f} s, found some later; "
        "stop what else is running and measure again"
    )


def _next_number(trials: Sequence[StreamTrial]) -> int | None:
    """Return the number of streams to try next; None where the search is over."""
    fails = min((trial.n_streams for trial in trials if not trial.holds), default=None)
    held = [trial.n_streams for trial in trials if trial.holds and (fails is None or trial.n_streams < fails)]
    best = max(held, default=0)
    if fails is None:
        fit = trials[-1].most_in_memory if trials else None
        wanted = min(max(2 * best, 1), _MAX_STREAMS, _MAX_STREAMS if fit is None else fit)
    else:
        wanted = (best + fails) // 2
    if wanted > best:
        return wanted
    # Once may have been luck.
    return best if held.count(best) == 1 else None
