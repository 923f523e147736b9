"""Repeats a piece of work until its time has settled, then takes samples of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from fer_edge_bench.procfs import cpu_seconds, machine_cpu_seconds
from fer_edge_bench.samples import CpuSeconds, Steady
from fer_edge_bench.statistics import percentile

__all__ = ["has_settled", "loop_overhead_us", "measure_steady"]

_WINDOW = 5
_TOLERANCE = 0.05
# The bounds: enough for caches and frequency to settle, yet a slow board is not kept for minutes.
_MIN_WARM_UP_RUNS, _MAX_WARM_UP_RUNS, _MAX_WARM_UP_S = 3, 100, 20.0
_DIGITS = 4  # of milliseconds: a tenth of a microsecond
_OVERHEAD_RUNS = 2000

Work = Callable[[int], Mapping[str, float]]


def measure_steady(
    work: Work,
    n_inputs: int,
    runs: int,
    *,
    since_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    cpu: Callable[[], CpuSeconds] = cpu_seconds,
    machine_cpu: Callable[[], CpuSeconds | None] = machine_cpu_seconds,
) -> Steady:
    """Warm up, then do `runs` runs one by one, taking the inputs in turn.

    Args:
        work: does it once with the input of a position; returns durations in ms by series, the same in each run.
        n_inputs: number of inputs, at least 1.
        runs: number of samples, at least 1.
        since_s: `clock()` at the benchmark's start.
        clock: seconds.
        cpu: processor time of this process so far.
        machine_cpu: of all processes so far.
    """
    warm_up_runs, settled = _warm_up(work, n_inputs, clock)
    inputs = tuple(number % n_inputs for number in range(runs))
    process_before, machine_before, began = cpu(), machine_cpu(), clock()
    taken = [work(position) for position in inputs]
    ended, process_after, machine_after = clock(), cpu(), machine_cpu()
    return Steady(
        warm_up_runs=warm_up_runs,
        settled=settled,
        began_s=round(began - since_s, 6),
        ended_s=round(ended - since_s, 6),
        process_cpu=difference(process_before, process_after),
        machine_cpu=difference(machine_before, machine_after) if machine_before and machine_after else None,
        energy_j=None,
        inputs=inputs,
        samples_ms={name: tuple(round(durations[name], _DIGITS) for durations in taken) for name in taken[0]},
    )


def difference(before: CpuSeconds, after: CpuSeconds) -> CpuSeconds:
    """Return the processor time between two readings; a counter that steps back counts as 0."""
    return CpuSeconds(
        user_s=round(max(after.user_s - before.user_s, 0.0), 6),
        system_s=round(max(after.system_s - before.system_s, 0.0), 6),
    )


def has_settled(durations: Sequence[float], window: int = _WINDOW) -> bool:
    """Tell whether the median of the last `window` durations differs from that of those before by less than 5 %."""
    if len(durations) < 2 * window:
        return False
    before = percentile(durations[-2 * window : -window], 50)
    last = percentile(durations[-window:], 50)
    return abs(last - before) < _TOLERANCE * before


def loop_overhead_us(series: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return what timing a run costs by itself in µs: two readings of the clock for each series, and keeping them."""

    def nothing(_: int) -> dict[str, float]:
        durations = {}
        for name in series:
            started = clock()
            durations[name] = 1000 * (clock() - started)
        return durations

    began = clock()
    taken = [nothing(position) for position in range(_OVERHEAD_RUNS)]
    return round(1e6 * (clock() - began) / len(taken), 3)


def _warm_up(work: Work, n_inputs: int, clock: Callable[[], float]) -> tuple[int, bool]:
    """Run until the time has settled or a bound is reached; return the number of runs and whether it has settled."""
    # Each window holds every input as often as the window before it does.
    window = n_inputs * math.ceil(_WINDOW / n_inputs)
    durations: list[float] = []
    began = clock()
    while True:
        started = clock()
        work(len(durations) % n_inputs)
        ended = clock()
        durations.append(ended - started)
        if has_settled(durations, window):
            return len(durations), True
        out_of_bounds = len(durations) >= max(_MAX_WARM_UP_RUNS, 2 * window) or ended - began >= _MAX_WARM_UP_S
        if out_of_bounds and len(durations) >= _MIN_WARM_UP_RUNS:
            return len(durations), False
