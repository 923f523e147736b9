"""Lines through measured points, and figures of fresh processes with their intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge_bench.statistics import percentile, student_quantile

__all__ = ["Estimate", "Line", "fit_line", "geometric_estimate", "mean_estimate", "robust_slope"]

_UPPER = 0.975
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure of several fresh processes.

    Attributes:
        value: the mean of the processes' figures, or their geometric mean where it is a ratio.
        interval95: by Student's t over the processes; None of one process, from which it cannot be told.
    """

    value: float
    interval95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The least-squares line through points (x, y).

    Attributes:
        slope: y for one more of x.
        intercept: y where x is 0.
        r2: share of the variance of y that the line explains, 1 for a line through all points.
        largest_deviation: of a point from the line, without its sign, in the unit of y.
        largest_deviation_percent: of a point from the line, without its sign, in percent of the line there.
        slope_interval95: of the slope, from the lines of the single processes; None of one process.
    """

    slope: float
    intercept: float
    r2: float
    largest_deviation: float
    largest_deviation_percent: float
    slope_interval95: tuple[float, float] | None

    def at(self, x: float) -> float:
        """Return the line's y."""
        return self.intercept + self.slope * x


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of the processes' figures and its interval.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("expected the figures of a process or more, found none")
    mean = math.fsum(values) / len(values)
    reach = _reach(values, mean)
    return Estimate(
        value=round(mean, _DIGITS),
        interval95=None if reach is None else (round(mean - reach, _DIGITS), round(mean + reach, _DIGITS)),
    )


def geometric_estimate(values: Sequence[float]) -> Estimate:
    """Return the geometric mean of the processes' figures, all above 0, and its interval.

    Raises:
        ValueError: there are none, or one is not above 0.
    """
    if not values or min(values) <= 0:
        raise ValueError("expected the figures above 0 of a process or more")
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    reach = _reach(logs, mean)
    return Estimate(
        value=round(math.exp(mean), _DIGITS),
        interval95=None
        if reach is None
        else (round(math.exp(mean - reach), _DIGITS), round(math.exp(mean + reach), _DIGITS)),
    )


def fit_line(xs: Sequence[float], processes: Sequence[Sequence[Sequence[float]]]) -> Line:
    """Fit the line through the median of all samples of each point.

    Args:
        xs: of the points, at least two that differ.
        processes: for each process the samples of each point.

    Raises:
        ValueError: no two points differ in x, a point has no samples, or the lengths differ.
    """
    ys = [percentile([y for samples in point for y in samples], 50) for point in zip(*processes, strict=True)]
    slope, intercept = _least_squares(xs, ys)
    mean = math.fsum(ys) / len(ys)
    expected = [intercept + slope * x for x in xs]
    deviations = [abs(y - there) for y, there in zip(ys, expected, strict=True)]
    total = math.fsum((y - mean) ** 2 for y in ys)
    slopes = [_least_squares(xs, [percentile(samples, 50) for samples in process])[0] for process in processes]
    return Line(
        slope=round(slope, _DIGITS),
        intercept=round(intercept, _DIGITS),
        # Points of one height are on a level line.
        r2=round(1 - math.fsum(deviation**2 for deviation in deviations) / total, _DIGITS) if total > 0 else 1.0,
        largest_deviation=round(max(deviations), _DIGITS),
        largest_deviation_percent=round(
            max(
                100 * deviation / abs(there) if there else 0.0
                for deviation, there in zip(deviations, expected, strict=True)
            ),
            _DIGITS,
        ),
        slope_interval95=mean_estimate(slopes).interval95,
    )


def robust_slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the median slope of the lines through all pairs of points (Theil, 1950; Sen, 1968).

    Up to 29 % of the points may lie anywhere.

    Raises:
        ValueError: no two points differ in x, or the lengths differ.
    """
    slopes = [
        (y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in itertools.combinations(zip(xs, ys, strict=True), 2) if x1 != x2
    ]
    if not slopes:
        raise ValueError("expected two points or more that differ in x")
    return percentile(slopes, 50)


def _least_squares(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - mean_x) ** 2 for x in xs)
    if spread == 0 or len(xs) != len(ys):
        raise ValueError("expected two points or more that differ in x, and as many y")
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope, mean_y - slope * mean_x


def _reach(values: Sequence[float], mean: float) -> float | None:
    if len(values) < 2:
        return None
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return student_quantile(_UPPER, len(values) - 1) * math.sqrt(variance / len(values))
