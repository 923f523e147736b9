"""Lines and intervals by hand and against numpy."""

import numpy as np
import pytest

from fer_edge_bench.scaling.fits import fit_line, geometric_estimate, mean_estimate, robust_slope


def test_a_line_by_hand() -> None:
    # Means 2 and 10/3; slope (1 * 7/3 + 1 * 5/3) / 2 = 2; intercept 10/3 - 4; deviations 1/3, 2/3, 1/3.
    line = fit_line([1, 2, 3], [[[1.0], [0.0, 4.0, 9.0], [5.0]]])
    assert line.slope == pytest.approx(2.0)
    assert line.intercept == pytest.approx(-2 / 3, abs=1e-6)
    assert line.largest_deviation == pytest.approx(2 / 3, abs=1e-6)
    # At 1 the line is 4/3, at 2 it is 10/3: a third of 4/3 is more than two thirds of 10/3.
    assert line.largest_deviation_percent == pytest.approx(25.0, abs=1e-4)
    # 1 - (1/9 + 4/9 + 1/9) / (49/9 + 4/9 + 25/9)
    assert line.r2 == pytest.approx(1 - 6 / 78, abs=1e-6)
    assert line.slope_interval95 is None
    assert line.at(10) == pytest.approx(20 - 2 / 3, abs=1e-5)


def test_a_line_is_numpys() -> None:
    random = np.random.RandomState(3)
    xs = random.random_sample(20) * 100
    ys = 3 + 0.7 * xs + random.standard_normal(20)
    line = fit_line(xs.tolist(), [[[y] for y in ys.tolist()]])
    slope, intercept = np.polyfit(xs, ys, 1)
    assert (line.slope, line.intercept) == (pytest.approx(slope, abs=1e-6), pytest.approx(intercept, abs=1e-6))
    assert line.r2 == pytest.approx(np.corrcoef(xs, ys)[0, 1] ** 2, abs=1e-6)


def test_points_on_a_line() -> None:
    line = fit_line([1, 2, 5, 100], [[[5.0 + 2 * x] for x in (1, 2, 5, 100)]] * 2)
    assert (line.slope, line.intercept, line.r2, line.largest_deviation) == (2.0, 5.0, 1.0, 0.0)
    assert line.slope_interval95 == (2.0, 2.0)


def test_a_level_line_explains_all() -> None:
    assert fit_line([1, 2], [[[3.0], [3.0]]]).r2 == 1.0


def test_the_slope_varies_as_the_processes_do() -> None:
    # Slopes 1, 2 and 3: mean 2, standard error 1 / sqrt(3), and t(0.975, 2) is 4.302653.
    line = fit_line([0, 1], [[[0.0], [1.0]], [[0.0], [2.0]], [[0.0], [3.0]]])
    assert line.slope_interval95 == (pytest.approx(2 - 2.484138, abs=1e-4), pytest.approx(2 + 2.484138, abs=1e-4))


@pytest.mark.parametrize(
    ("xs", "ys"), [([1, 1], [[[1.0], [2.0]]]), ([1, 2], [[[1.0]]])], ids=["one place", "a point without a time"]
)
def test_no_line(xs: list[float], ys: list[list[list[float]]]) -> None:
    with pytest.raises(ValueError, match="two points or more that differ"):
        fit_line(xs, ys)


def test_an_outlier_does_not_bend_the_robust_line() -> None:
    xs = list(range(20))
    ys = [100 + 0.25 * x for x in xs]
    assert robust_slope(xs, ys) == pytest.approx(0.25)
    ys[-1] += 50
    ys[3] -= 50
    assert robust_slope(xs, ys) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="two points or more that differ"):
        robust_slope([1, 1], [2.0, 3.0])


def test_estimates_by_hand() -> None:
    assert mean_estimate([4.0]).interval95 is None
    found = mean_estimate([1.0, 3.0])
    # Standard error 1, t(0.975, 1) 12.7062.
    assert found.value == 2.0
    assert found.interval95 == (pytest.approx(-10.7062, abs=1e-3), pytest.approx(14.7062, abs=1e-3))
    assert geometric_estimate([2.0, 8.0]).value == pytest.approx(4.0)
    assert geometric_estimate([5.0, 5.0]).interval95 == (5.0, 5.0)


@pytest.mark.parametrize("values", [[], [1.0, 0.0]], ids=["none", "zero"])
def test_no_estimate(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected the figures"):
        geometric_estimate(values)
