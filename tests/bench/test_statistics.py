"""Percentiles against figures worked out by hand and against numpy; what is called unstable."""

import numpy as np
import pytest

from fer_edge_bench.statistics import percentile, summarize


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        pytest.param([7.0], 90, 7.0, id="one sample"),
        pytest.param([3.0, 1.0, 2.0], 50, 2.0, id="odd, unsorted"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 50, 2.5, id="even"),
        pytest.param([1.0, 2.0, 3.0, 4.0, 5.0], 90, 4.6, id="between the last two"),
        pytest.param([10.0, 20.0], 99, 19.9, id="p99 of two"),
        pytest.param([5.0, 1.0], 0, 1.0, id="lowest"),
        pytest.param([5.0, 1.0], 100, 5.0, id="highest"),
    ],
)
def test_percentiles_by_hand(samples: list[float], percent: float, expected: float) -> None:
    assert percentile(samples, percent) == pytest.approx(expected, abs=1e-12)


def test_percentiles_are_numpys() -> None:
    samples = np.random.default_rng(1).lognormal(size=57).tolist()
    for percent in (0, 1, 50, 90, 99, 100):
        assert percentile(samples, percent) == pytest.approx(np.percentile(samples, percent), rel=1e-12)


@pytest.mark.parametrize(
    ("samples", "percent", "message"),
    [([], 50, "at least one sample"), ([1.0], 101, "0 to 100"), ([1.0], -1, "0 to 100")],
    ids=["none", "above", "below"],
)
def test_percentiles_that_do_not_exist(samples: list[float], percent: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        percentile(samples, percent)


def test_a_series_keeps_its_outlier() -> None:
    found = summarize([2.0] * 9 + [102.0])
    assert (found.n, found.min_ms, found.p50_ms, found.mean_ms) == (10, 2.0, 2.0, 12.0)
    # Between the 9th and 10th of ten samples: p90 at position 8.1, p99 at 8.91.
    assert (found.p90_ms, found.p99_ms) == (pytest.approx(12.0), pytest.approx(93.0))
    assert found.unstable


@pytest.mark.parametrize(
    ("samples", "unstable"),
    [
        pytest.param([10.0] * 20, False, id="constant"),
        # p50 10, p90 by position 1.8 of [10, 10, x]: 10 + 0.8 (x - 10).
        pytest.param([10.0, 10.0, 12.4], False, id="p90 19.2 % above"),
        pytest.param([10.0, 10.0, 12.6], True, id="p90 20.8 % above"),
        pytest.param([2.0, 10.0, 10.0], False, id="fast outlier"),
        pytest.param([0.0, 0.0, 0.0], False, id="zero"),
    ],
)
def test_unstable(samples: list[float], unstable: bool) -> None:
    assert summarize(samples).unstable is unstable
