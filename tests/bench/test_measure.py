"""Warm-up and sampling under a clock that only the work moves."""

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from fer_edge_bench.measure import difference, has_settled, loop_overhead_us, measure_steady
from fer_edge_bench.samples import CpuSeconds, Steady


class Machine:
    """Work of given durations; each second of it costs 0.75 s of user and 0.25 s of system time."""

    def __init__(self, durations_s: Iterator[float]) -> None:
        self.now_s = 1000.0
        self.durations_s = durations_s
        self.done: list[int] = []

    def work(self, position: int) -> dict[str, float]:
        duration_s = next(self.durations_s)
        self.now_s += duration_s
        self.done.append(position)
        return {"whole": 1000 * duration_s, "part": 1000 * duration_s / 4}

    def clock(self) -> float:
        return self.now_s

    def cpu(self) -> CpuSeconds:
        return CpuSeconds(user_s=0.75 * self.now_s, system_s=0.25 * self.now_s)

    def measure(self, n_inputs: int, runs: int, machine_cpu: bool = False) -> Steady:
        return measure_steady(
            self.work,
            n_inputs,
            runs,
            since_s=990.0,
            clock=self.clock,
            cpu=self.cpu,
            machine_cpu=self.cpu if machine_cpu else lambda: None,
        )


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
    found = machine.measure(1, 4)
    assert (found.warm_up_runs, found.settled) == (warm_up_runs, settled)
    assert len(machine.done) == warm_up_runs + 4


@pytest.mark.parametrize(
    ("n_inputs", "window"),
    [pytest.param(1, 5, id="1"), pytest.param(3, 6, id="3"), pytest.param(5, 5, id="5"), pytest.param(8, 8, id="8")],
)
def test_pictures_of_different_cost_settle_when_whole_passes_do(n_inputs: int, window: int) -> None:
    """Picture i takes i + 1 units: two windows of whole passes have equal medians."""
    machine = Machine(0.01 * (1 + number % n_inputs) for number in range(1000))
    found = machine.measure(n_inputs, 2 * n_inputs)
    assert (found.warm_up_runs, found.settled) == (2 * window, True)
    assert found.inputs == tuple(range(n_inputs)) * 2
    assert machine.done[-2 * n_inputs :] == list(found.inputs)


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
    found = machine.measure(1, 3, machine_cpu=True)
    assert found.runs == 3
    assert found.samples_ms["whole"] == (20.0, 500.0, 20.0)
    assert found.samples_ms["part"] == (5.0, 125.0, 5.0)
    # 10 s before the clock's 1000, then 0.1 s of warm-up.
    assert (found.began_s, found.ended_s) == (10.1, 10.64)
    assert found.process_cpu == CpuSeconds(user_s=0.405, system_s=0.135)
    assert found.machine_cpu == found.process_cpu
    assert found.energy_j is None


def test_a_counter_that_steps_back_counts_as_nothing() -> None:
    before, after = CpuSeconds(user_s=2.0, system_s=1.0), CpuSeconds(user_s=1.5, system_s=1.25)
    assert difference(before, after) == CpuSeconds(user_s=0.0, system_s=0.25)


def test_the_loops_own_cost_is_that_of_reading_the_clock() -> None:
    """A clock that moves 1 µs each time it is read: two readings for each of three series, and the bounds' two."""
    ticks = iter(range(10**7))
    found = loop_overhead_us(("a", "b", "c"), clock=lambda: 1e-6 * next(ticks))
    assert found == pytest.approx(6.0, abs=0.01)
    assert 0 < loop_overhead_us(("a", "b", "c")) < 1000
