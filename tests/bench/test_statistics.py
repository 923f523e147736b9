"""Percentiles against numpy, and figures worked out by hand."""

import math

import numpy as np
import pytest

from fer_edge_bench.bootstrap import percentile_interval
from fer_edge_bench.statistics import (
    percentile,
    process_ratio,
    relative_spread,
    relative_to_inputs,
    student_quantile,
    student_tail,
    summarize,
    typical_ms,
)


@pytest.mark.parametrize("percent", [0, 10, 50, 90, 99, 100])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 57])
def test_percentile_is_numpys(percent: float, n: int) -> None:
    samples = np.random.default_rng(n).exponential(size=n).tolist()
    assert percentile(samples, percent) == pytest.approx(float(np.percentile(samples, percent)), rel=1e-12)


@pytest.mark.parametrize(
    ("samples", "percent", "message"),
    [
        pytest.param([], 50, "at least one sample", id="no samples"),
        pytest.param([1.0], 101, "found 101", id="above 100"),
        pytest.param([1.0], -1, "found -1", id="below 0"),
    ],
)
def test_percentile_refuses(samples: list[float], percent: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        percentile(samples, percent)


def test_summary_of_eleven_runs_of_two_processes() -> None:
    """Sorted 1..10 and 30: p50 is the 6th, p90 the 10th, p99 nine tenths of the way to the 11th."""
    summary = summarize([[30.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 10.0]])
    assert (summary.n, summary.min_ms, summary.p50_ms, summary.p90_ms, summary.p99_ms) == (11, 1.0, 6.0, 10.0, 28.0)
    assert summary.mean_ms == pytest.approx(85 / 11, abs=1e-4)
    assert summary.spread == pytest.approx(4 / 6, abs=1e-4)
    assert summary.unstable
    low, high = summary.p50_interval95_ms
    assert 1 < low < 6 < high < 30


def test_processes_count_alike() -> None:
    one, two = summarize([[1.0, 2.0], [3.0, 4.0]]), summarize([[1.0, 2.0, 3.0, 4.0]])
    assert (one.n, one.p50_ms, one.p90_ms) == (two.n, two.p50_ms, two.p90_ms) == (4, 2.5, 3.7)


@pytest.mark.parametrize(
    ("slow", "expected"),
    [pytest.param(11.99, False, id="below a fifth"), pytest.param(12.01, True, id="above a fifth")],
)
def test_unstable_above_a_fifth(slow: float, expected: bool) -> None:
    assert summarize([[10.0] * 8 + [slow] * 3]).unstable is expected


def test_pictures_of_different_cost_are_no_instability() -> None:
    """Two pictures of 10 and 40 ms, each steady: as one series the spread is 60 %, by picture it is none."""
    samples, inputs = [10.0, 40.0] * 10, [0, 1] * 10
    assert relative_spread(samples, [0] * 20) == pytest.approx((40 - 25) / 25)
    assert relative_spread(samples, inputs) == 0
    assert not summarize([samples], [inputs]).unstable
    # One run in five of the second picture takes half as long again: 10 % of all, so p90 begins to see it.
    shaken = [60.0 if i % 10 == 9 else sample for i, sample in enumerate(samples)]
    assert relative_spread(shaken, inputs) == pytest.approx(0.05, abs=1e-9)


def test_an_input_that_takes_no_time_counts_as_steady() -> None:
    assert relative_spread([0.0, 0.0, 5.0, 5.0], [0, 0, 1, 1]) == 0


def test_the_interval_does_not_depend_on_which_pictures_are_drawn() -> None:
    samples, inputs = [[10.0, 100.0] * 10] * 4, [[0, 1] * 10] * 4
    assert summarize(samples, inputs).p50_interval95_ms == (55.0, 55.0)


def test_four_processes_widen_the_interval() -> None:
    """Drawn again it is 10 to 14 around 11; t(0.975, 3) / 1.96 * sqrt(4 / 3) = 1.8747 of that as a ratio."""
    low, high = summarize([[10.0] * 20, [10.0] * 20, [12.0] * 20, [14.0] * 20]).p50_interval95_ms
    assert low == pytest.approx(11 * (10 / 11) ** 1.8747, rel=1e-4)
    assert high == pytest.approx(11 * (14 / 11) ** 1.8747, rel=1e-4)


def test_the_interval_of_one_process_is_of_that_process_alone() -> None:
    samples = [1.0, 2.0, 3.0, 4.0, 9.0]
    assert summarize([samples]).p50_interval95_ms == percentile_interval([samples], 50)


@pytest.mark.parametrize(
    ("processes", "low_ms"),
    [
        pytest.param([[0.0, 0.0, 0.0, 3.0]] * 2, 0.0, id="median 0"),
        pytest.param([[0.0] * 9, [10.0] * 9, [10.0] * 9], 0.0, id="one process at 0"),
    ],
)
def test_no_interval_begins_below_0(processes: list[list[float]], low_ms: float) -> None:
    summary = summarize(processes)
    low, high = summary.p50_interval95_ms
    assert low == low_ms <= summary.p50_ms <= high


def test_coverage_of_the_interval_of_four_processes() -> None:
    """Processes 3 % apart, runs of one 1 %: of 300 intervals of the default's four, 92 % or more hold the truth."""
    random = np.random.RandomState(11)
    held = 0
    for _ in range(300):
        centres = 100 * (1 + 0.03 * random.standard_normal((4, 1)))
        low, high = summarize((centres * (1 + 0.01 * random.standard_normal((4, 20)))).tolist()).p50_interval95_ms
        held += low <= 100 <= high
    assert 0.92 <= held / 300 < 1


@pytest.mark.parametrize(
    ("dear", "expected"),
    [pytest.param(100.0, 20000 ** (1 / 3), id="100"), pytest.param(500.0, 1e5 ** (1 / 3), id="500")],
)
def test_a_typical_picture_sees_all_of_them(dear: float, expected: float) -> None:
    samples, inputs = [10.0, 20.0, dear, 10.0, 20.0, dear, 99.0, 99.0, 999.0], [0, 1, 2] * 3
    assert typical_ms(samples, inputs) == pytest.approx(expected)


def test_a_picture_without_time_and_none_at_all() -> None:
    assert typical_ms([0.0, 5.0], [0, 1]) == 0
    with pytest.raises(ValueError, match="expected at least one sample, found none"):
        typical_ms([], [])


def test_samples_over_their_pictures_median() -> None:
    assert relative_to_inputs([10.0, 40.0, 15.0, 20.0, 10.0, 40.0], [0, 1] * 3) == [1.0, 1.0, 1.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("probability", "freedom", "t"),
    [
        pytest.param(0.5, 7, 0.0, id="middle"),
        pytest.param(0.975, 1, 12.706, id="0.975 of 1"),
        pytest.param(0.999, 2, 22.327, id="0.999 of 2"),
        pytest.param(0.975, 3, 3.182, id="0.975 of 3"),
        pytest.param(0.999, 3, 10.215, id="0.999 of 3"),
        pytest.param(0.975, 6, 2.447, id="0.975 of 6"),
        pytest.param(0.999, 6, 5.208, id="0.999 of 6"),
        pytest.param(0.995, 10, 3.169, id="0.995 of 10"),
        pytest.param(0.999, 100, 3.174, id="0.999 of 100"),
    ],
)
def test_students_t(probability: float, freedom: float, t: float) -> None:
    """Values of tables, e.g. of the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2."""
    assert student_quantile(probability, freedom) == pytest.approx(t, abs=6e-4)
    assert student_tail(student_quantile(probability, freedom), freedom) == pytest.approx(1 - probability, rel=1e-8)


@pytest.mark.parametrize("freedom", [1.5, 3.7, 25.2, 1000.0])
def test_students_t_of_any_freedom(freedom: float) -> None:
    """Against its density added up in steps of 0.001."""
    grid = np.arange(0, 2, 1e-3) + 5e-4
    height = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi * freedom)
    inner = 1e-3 * float(np.sum(height * (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)))
    assert student_tail(2.0, freedom) == pytest.approx(0.5 - inner, abs=1e-7)
    assert student_quantile(0.5 + inner, freedom) == pytest.approx(2.0, abs=1e-5)


def test_welchs_t_by_hand() -> None:
    """Logarithms 0.1, 0.3 and 0, 0.2: 0.1 apart, an error of sqrt(0.02), 2 degrees, whose tail has a closed form."""
    found = process_ratio([math.exp(0.1), math.exp(0.3)], [1.0, math.exp(0.2)])
    assert found.ratio == pytest.approx(math.exp(0.1))
    reach = 4.302653 * math.sqrt(0.02)
    assert found.interval95 == (pytest.approx(math.exp(0.1 - reach)), pytest.approx(math.exp(0.1 + reach)))
    t = 0.1 / math.sqrt(0.02)
    assert found.p_value == pytest.approx(1 - t / math.sqrt(2 + t**2))


def test_a_side_without_spread_adds_no_freedom() -> None:
    """All of the error is of the two processes, so it has one degree of freedom, whatever the five of the other are."""
    found = process_ratio([math.exp(0.1), math.exp(0.3)], [1.0] * 5)
    assert math.log(found.interval95[1]) - 0.2 == pytest.approx(12.7062 * 0.1, rel=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [pytest.param(80.0, 80.0, 1.0, id="equal"), pytest.param(80.0, 88.0, 0.0, id="different")],
)
def test_no_spread_on_either_side(first: float, second: float, p_value: float) -> None:
    found = process_ratio([second] * 4, [first] * 7)
    assert (found.ratio, found.interval95, found.p_value) == (second / first, (second / first,) * 2, p_value)


@pytest.mark.parametrize(
    ("processes", "message"),
    [
        pytest.param([1.0], "expected two processes or more, found 1", id="one process"),
        pytest.param([1.0, 0.0], "expected figures above 0 of all processes, found 0", id="zero"),
    ],
)
def test_what_has_no_ratio(processes: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        process_ratio(processes, [1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        process_ratio([1.0, 2.0], processes)


def test_coverage_of_the_interval_of_a_ratio() -> None:
    """Four processes of 100 against four of 110, 3 % apart: of 1000 intervals 92 % or more hold 1.1."""
    random = np.random.RandomState(12)
    held = 0
    for _ in range(1000):
        first, second = (
            np.median(c * (1 + 0.03 * random.standard_normal((4, 1)) + 0.01 * random.standard_normal((4, 20))), axis=1)
            for c in (100, 110)
        )
        low, high = process_ratio(second.tolist(), first.tolist()).interval95
        held += low <= 1.1 <= high
    assert 0.92 <= held / 1000 < 0.98
