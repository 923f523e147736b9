"""Repeats a piece of work until its time has settled, then takes samples of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from fer_edge_bench.procfs import CpuTimes, cpu_times
from fer_edge_bench.samples import Steady
from fer_edge_bench.statistics import percentile

__all__ = ["has_settled", "measure_steady"]

_WINDOW = 5
_TOLERANCE = 0.05
# The bounds: enough for caches and frequency to settle, yet a slow board is not kept for minutes.
_MIN_WARM_UP_RUNS, _MAX_WARM_UP_RUNS, _MAX_WARM_UP_S = 3, 100, 20.0
_DIGITS = 4  # of milliseconds: a tenth of a microsecond


def measure_steady(
    series: str,
    work: Callable[[], Mapping[str, float]],
    runs: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    cpu: Callable[[], CpuTimes] = cpu_times,
) -> Steady:
    """Warm up, then time `runs` runs one by one.

    Args:
        series: what the duration of the whole of `work` is called.
        work: does it once; returns the durations in ms of its parts by name, which may be none.
        runs: number of samples, at least 1.
        clock: seconds.
        cpu: processor time so far.
    """
    warm_up_runs, settled = _warm_up(work, clock)
    samples: dict[str, list[float]] = {series: []}
    cpu_before, began = cpu(), clock()
    for _ in range(runs):
        started = clock()
        parts = work()
        samples[series].append(round(1000 * (clock() - started), _DIGITS))
        for name, duration_ms in parts.items():
            samples.setdefault(name, []).append(round(duration_ms, _DIGITS))
    wall_s, cpu_after = clock() - began, cpu()
    return Steady(
        warm_up_runs=warm_up_runs,
        settled=settled,
        wall_s=round(wall_s, 6),
        cpu_user_s=round(cpu_after.user_s - cpu_before.user_s, 6),
        cpu_system_s=round(cpu_after.system_s - cpu_before.system_s, 6),
        samples_ms={name: tuple(durations) for name, durations in samples.items()},
    )


def has_settled(durations: Sequence[float]) -> bool:
    """Tell whether the median of the last five durations differs from that of the five before by less than 5 %."""
    if len(durations) < 2 * _WINDOW:
        return False
    before = percentile(durations[-2 * _WINDOW : -_WINDOW], 50)
    last = percentile(durations[-_WINDOW:], 50)
    return abs(last - before) < _TOLERANCE * before


def _warm_up(work: Callable[[], object], clock: Callable[[], float]) -> tuple[int, bool]:
    """Run until the time has settled or a bound is reached; return the number of runs and whether it has settled."""
    durations: list[float] = []
    began = clock()
    while True:
        started = clock()
        work()
        ended = clock()
        durations.append(ended - started)
        if has_settled(durations):
            return len(durations), True
        out_of_bounds = len(durations) >= _MAX_WARM_UP_RUNS or ended - began >= _MAX_WARM_UP_S
        if out_of_bounds and len(durations) >= _MIN_WARM_UP_RUNS:
            return len(durations), False
