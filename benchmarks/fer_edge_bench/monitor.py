"""Watches the machine while cases run: memory of the process at work, temperature, clock, power, throttling.

One thread of the process that started the benchmark does it; what it costs is measured and stands in the record.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import TracebackType

from fer_edge_bench.procfs import resident_memory_bytes
from fer_edge_bench.record import TimelinePoint
from fer_edge_devices.sensors import SensorReading, Sensors, energy_between, has_throttled

__all__ = ["Monitor", "energy_j_within"]

# Often enough to see a short case's memory grow; temperature and clock change more slowly, and some sensors take a
# millisecond each. Power and energy are read as often as memory: a short case is over in a second.
_PERIOD_S = 0.25
_SENSOR_PERIOD_S = 1.0
# A process each time, some 10 ms: where a Raspberry Pi's kernel has no file for its flags.
_TOOL_PERIOD_S = 5.0
# Fewer readings than this within a piece of work, and its energy is that of what came before and after it as well.
_LEAST_READINGS = 5


class Monitor:
    """Watches from `__enter__` to `__exit__`.

    Attributes:
        points: the timeline so far.
        before, after: the first and the last reading of all sensors.
        throttled: what `has_throttled` said of neighbouring readings, each reason once.
        untold: why throttling cannot be told; None where it can.
        cpu_s: processor time that watching took.
    """

    def __init__(
        self,
        sensors: Sensors,
        started_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[int], int | None] = resident_memory_bytes,
    ) -> None:
        self._sensors, self._started_s, self._clock, self._memory = sensors, started_s, clock, memory
        self._watched: tuple[int, str, tuple[int, ...]] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fer-edge bench monitor", daemon=True)
        self._readings: list[tuple[float, SensorReading]] = []
        self.points: list[TimelinePoint] = []
        self.throttled: dict[str, None] = {}
        self.cpu_s = 0.0
        self.before = self.after = sensors.read()
        has_energy = self.before.board_power_w is not None or bool(self.before.energy_j)
        self._sensor_period_s = _PERIOD_S if has_energy else _SENSOR_PERIOD_S
        self.untold = _why_untold(self.before)

    def __enter__(self) -> Monitor:
        self.read_now()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.after = self.read_now(tools=True)
        reason = has_throttled(self.before, self.after)
        if reason is not None:
            self.throttled.setdefault(reason)

    @contextmanager
    def watching(self, case: int, step: str, *pids: int) -> Iterator[Callable[[Sequence[int]], None]]:
        """Note meanwhile that a step of a case runs, in these processes; yield what can be told of others."""

        def watch(others: Sequence[int]) -> None:
            self._watched = (case, step, tuple(others))

        watch(pids)
        try:
            yield watch
        finally:
            self._watched = None

    def energy_j(self, began_s: float, ended_s: float) -> float | None:
        """Return the energy taken between two moments since the start; see energy_j_within."""
        with self._lock:
            return energy_j_within(self._readings, began_s, ended_s)

    def read_now(self, *, tools: bool = False) -> SensorReading:
        """Read the sensors out of turn, so that what follows is known to the last moment."""
        with self._lock:
            reading = self._sensors.read(tools=tools)
            if self._readings:
                reason = has_throttled(self._readings[-1][1], reading)
                if reason is not None:
                    self.throttled.setdefault(reason)
            self._readings.append((self._clock() - self._started_s, reading))
        return reading

    def _watch(self) -> None:
        due_s, tools_due_s = self._clock() + self._sensor_period_s, self._clock() + _TOOL_PERIOD_S
        while not self._stop.wait(_PERIOD_S):
            now_s = self._clock()
            if now_s >= due_s:
                self.read_now(tools=now_s >= tools_due_s)
                due_s = now_s + self._sensor_period_s
                tools_due_s = now_s + _TOOL_PERIOD_S if now_s >= tools_due_s else tools_due_s
            self._note()
            self.cpu_s = time.thread_time()

    def _note(self) -> None:
        watched = self._watched
        with self._lock:
            last_two = [reading for _, reading in self._readings[-2:]]
        previous, reading = last_two[0], last_two[-1]
        memory = [self._memory(pid) for pid in watched[2]] if watched else []
        known = [size for size in memory if size is not None]
        self.points.append(
            TimelinePoint(
                t_s=round(self._clock() - self._started_s, 3),
                case=watched[0] if watched else None,
                step=watched[1] if watched else None,
                memory_bytes=sum(known) if known else None,
                temperature_c=reading.hottest_c,
                clock_mhz=max(reading.clocks_mhz.values(), default=None),
                power_w=reading.board_power_w,
                throttled=has_throttled(previous, reading),
            )
        )


def energy_j_within(readings: Sequence[tuple[float, SensorReading]], began_s: float, ended_s: float) -> float | None:
    """Return the joules taken between two moments.

    By the rail through which all of the board's power comes, where one is known; else by the counters of the
    processor's packages, which leave out the rest of the board.

    Args:
        readings: times, ascending, and what the sensors told.
        began_s: the first moment, within the readings' times.
        ended_s: the second.

    Returns:
        None without such sensors, and where they are too slow to tell: fewer than five readings between the moments,
        or none before the first or after the second.
    """
    within = sum(began_s <= t_s <= ended_s for t_s, _ in readings)
    if within < _LEAST_READINGS or began_s < readings[0][0] or ended_s > readings[-1][0]:
        return None
    totals_j = [0.0]
    for (t0_s, old), (t1_s, new) in pairwise(readings):
        step_j = _step_j(t1_s - t0_s, old, new)
        if step_j is None:
            return None
        totals_j.append(totals_j[-1] + step_j)
    times_s = [t_s for t_s, _ in readings]
    return round(_interpolated(times_s, totals_j, ended_s) - _interpolated(times_s, totals_j, began_s), 6)


def _why_untold(before: SensorReading) -> str | None:
    """Return why throttling during a benchmark will not be told by readings that begin with this one."""
    throttling = before.throttling
    if throttling is None or throttling.source != "vcgencmd" or not throttling.flags_occurred:
        return None
    # The firmware's flags stay set until the next boot: a second time changes nothing.
    return f"{', '.join(throttling.flags_occurred)} since the boot; restart the board to see it again"


def _step_j(elapsed_s: float, old: SensorReading, new: SensorReading) -> float | None:
    before_w, after_w = old.board_power_w, new.board_power_w
    if before_w is not None and after_w is not None:
        return elapsed_s * (before_w + after_w) / 2
    # "package-0/core" is a part of "package-0".
    packages = [value for name, value in energy_between(old, new).items() if "/" not in name]
    return sum(packages) if packages else None


def _interpolated(times_s: Sequence[float], totals: Sequence[float], at_s: float) -> float:
    after = max(bisect_left(times_s, at_s), 1)
    t0, t1 = times_s[after - 1], times_s[after]
    if t1 <= t0:
        return totals[after]
    return totals[after - 1] + (totals[after] - totals[after - 1]) * (at_s - t0) / (t1 - t0)
