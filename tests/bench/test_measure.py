"""Warm-up and sampling under a clock that only the work moves."""

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from fer_edge_bench.measure import has_settled, measure_steady
from fer_edge_bench.procfs import CpuTimes


class Machine:
    """Work of given durations; each second of it costs 0.75 s of user and 0.25 s of system time."""

    def __init__(self, durations_s: Iterator[float]) -> None:
        self.now_s = 1000.0
        self.durations_s = durations_s
        self.done = 0

    def work(self) -> dict[str, float]:
        duration_s = next(self.durations_s)
        self.now_s += duration_s
        self.done += 1
        return {"part": 1000 * duration_s / 4}

    def clock(self) -> float:
        return self.now_s

    def cpu(self) -> CpuTimes:
        return CpuTimes(user_s=0.75 * self.now_s, system_s=0.25 * self.now_s)


@pytest.mark.parametrize(
    ("durations_s", "warm_up_runs", "settled"),
    [
        pytest.param(repeat(0.01), 10, True, id="steady from the start"),
        # Runs 1-5 are slow, 6 to 10 fast: settled when the medians of both windows are of fast runs, 3 in each.
        pytest.param(chain([0.05] * 5, repeat(0.01)), 13, True, id="slow start"),
        pytest.param(chain([0.5], repeat(0.01)), 10, True, id="one slow run does not move a median"),
        pytest.param((0.01 * 1.02**i for i in range(1000)), 100, False, id="ever slower: bounded by runs"),
        # 1.1 s, 1.2 s, ...: 20 s are over after 13 runs.
        pytest.param((1.0 + 0.1 * i for i in range(1, 1000)), 13, False, id="slow and slower: bounded by time"),
        pytest.param((10.0 * 2**i for i in range(1000)), 3, False, id="very slow: three at least"),
    ],
)
def test_warm_up(durations_s: Iterator[float], warm_up_runs: int, settled: bool) -> None:
    machine = Machine(durations_s)
    found = measure_steady("whole", machine.work, 4, clock=machine.clock, cpu=machine.cpu)
    assert (found.warm_up_runs, found.settled) == (warm_up_runs, settled)
    assert machine.done == warm_up_runs + 4


@pytest.mark.parametrize(
    ("durations", "settled"),
    [
        pytest.param([1.0] * 9, False, id="too few"),
        pytest.param([1.0] * 5 + [1.04] * 5, True, id="4 % slower"),
        pytest.param([1.0] * 5 + [1.06] * 5, False, id="6 % slower"),
        pytest.param([1.0] * 5 + [0.94] * 5, False, id="6 % faster"),
        pytest.param([9.0] * 20 + [1.0] * 10, True, id="only the last ten count"),
    ],
)
def test_has_settled(durations: list[float], settled: bool) -> None:
    assert has_settled(durations) is settled


def test_every_sample_is_kept_and_processor_time_is_of_the_timed_runs() -> None:
    machine = Machine(chain([0.01] * 10, [0.02, 0.5, 0.02]))
    found = measure_steady("whole", machine.work, 3, clock=machine.clock, cpu=machine.cpu)
    assert found.runs == 3
    assert found.samples_ms["whole"] == (20.0, 500.0, 20.0)
    assert found.samples_ms["part"] == (5.0, 125.0, 5.0)
    assert (found.wall_s, found.cpu_user_s, found.cpu_system_s) == (0.54, 0.405, 0.135)
