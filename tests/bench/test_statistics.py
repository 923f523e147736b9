"""Percentiles against numpy, and figures worked out by hand."""

import numpy as np
import pytest

from fer_edge_bench.statistics import percentile, relative_spread, summarize


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
