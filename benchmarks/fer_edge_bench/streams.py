"""How many cameras a machine can serve at once: the largest number that loses no frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from fer_edge.errors import FerEdgeError
from fer_edge_bench.fresh_process import FreshProcess
from fer_edge_bench.samples import StreamTrial
from fer_edge_bench.workers.camera import CameraAnswer, CameraJob, frames_due, start_camera
from fer_edge_bench.workers.pipeline_job import PipelineJob

__all__ = ["find_most_streams", "run_trial"]

# Far more than a board serves; bounds the memory that a trial may ask for.
_MAX_STREAMS = 64
_READY_S, _READY_S_EACH = 2.0, 1.5
_MAX_STARTS = 3


def find_most_streams(trial: Callable[[int], StreamTrial]) -> tuple[StreamTrial, ...]:
    """Try 1, 2, 4 … streams until frames are lost, then halve the gap; return all trials in order.

    Args:
        trial: makes one with a number of streams.
    """
    trials: list[StreamTrial] = []
    holds, fails = 0, _MAX_STREAMS + 1
    while fails - holds > 1:
        wanted = max(2 * holds, 1) if fails > _MAX_STREAMS else (holds + fails) // 2
        made = trial(min(wanted, _MAX_STREAMS))
        trials.append(made)
        if made.dropped:
            fails = made.n_streams
        else:
            holds = made.n_streams
    return tuple(trials)


def run_trial(
    pipeline: PipelineJob,
    n_streams: int,
    *,
    frame_rate: float,
    seconds: float,
    watching: Callable[[Sequence[int]], object],
    start: Callable[[CameraJob], FreshProcess] = start_camera,
) -> StreamTrial:
    """Let cameras run at once, their frames spread evenly over the time between two.

    Args:
        pipeline: of each of them.
        n_streams: how many.
        frame_rate: frames per second of each.
        seconds: how long.
        watching: told the processes.
        start: starts one.

    Raises:
        FerEdgeError: a process failed, or the machine is too busy to have all of them ready in time.
    """
    ready_s = _READY_S + _READY_S_EACH * n_streams
    for _ in range(_MAX_STARTS):
        first_s = time.monotonic() + ready_s
        jobs = [
            CameraJob(
                pipeline=pipeline,
                first_frame_s=first_s + number / (n_streams * frame_rate),
                frame_rate=frame_rate,
                seconds=seconds,
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
            return _trial(n_streams, frames_due(frame_rate, seconds), answers)
        ready_s *= 2
    raise FerEdgeError(
        f"{n_streams} cameras: expected all to be ready within {ready_s / 2:.0f} s, found some later; "
        "stop what else is running and measure again"
    )


def _trial(n_streams: int, due_each: int, answers: Sequence[CameraAnswer]) -> StreamTrial:
    latencies_ms = tuple(latency_ms for answer in answers for latency_ms in answer.latencies_ms)
    due = n_streams * due_each
    return StreamTrial(
        n_streams=n_streams,
        due=due,
        dropped=due - len(latencies_ms),
        latencies_ms=latencies_ms,
        memory_bytes=sum(answer.memory_bytes for answer in answers),
    )
