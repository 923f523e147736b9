"""Figures of a series of durations. No sample is ever left out: outliers are what throttling looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from fer_edge_bench.bootstrap import percentile_interval

__all__ = [
    "UNSTABLE_SPREAD",
    "ProcessRatio",
    "SeriesSummary",
    "geometric_mean",
    "percentile",
    "process_ratio",
    "relative_spread",
    "relative_to_inputs",
    "student_quantile",
    "student_tail",
    "summarize",
    "typical_ms",
]

# Where the slowest tenth takes this much longer than the median, the median alone would mislead.
UNSTABLE_SPREAD = 0.2
_DIGITS = 4  # of milliseconds: a tenth of a microsecond
# Where a 95 % interval ends above, and what the normal distribution reaches there.
_UPPER, _NORMAL_UPPER = 0.975, 1.959964
# Gauss and Legendre's rule with so many points gives Student's t to 8 digits for 3 to 1000 degrees of freedom, and to 4
# between 1 and 3, where the density's angle has a bend at 0.
_N_NODES = 64
# From the distribution's middle 10 to 30 steps lead to any quantile that a verdict needs.
_NEWTON_STEPS = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """Figures of a series of durations, in ms.

    Attributes:
        n: number of samples.
        min_ms, p50_ms, p90_ms, p99_ms: smallest, and percentiles as `percentile` defines them.
        mean_ms: arithmetic mean.
        p50_interval95_ms: low and high of the median, from resampled processes and samples, each input drawn as often
            as it was measured, and widened for few processes. Of a single process it is of that process alone: how
            another one would differ cannot be told from it.
        spread: how much longer than the median the slowest tenth takes, as `relative_spread` defines it.
        unstable: `spread` is above UNSTABLE_SPREAD.
    """

    n: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    p50_interval95_ms: tuple[float, float]
    spread: float
    unstable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRatio:
    """A figure of fresh processes over the same of others.

    Attributes:
        ratio: of the geometric means.
        interval95: of the ratio.
        p_value: how often chance alone gives a ratio as far from 1 or farther, 0 to 1.
    """

    ratio: float
    interval95: tuple[float, float]
    p_value: float


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return a percentile, linear between the two nearest of the sorted samples (numpy's default, Hyndman-Fan type 7).

    Raises:
        ValueError: there are no samples, or `percent` is not within 0 to 100.
    """
    if not samples:
        raise ValueError("percentile: expected at least one sample, found none")
    if not 0 <= percent <= 100:
        raise ValueError(f"percentile: expected 0 to 100 percent, found {percent:g}")
    ordered = sorted(samples)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of at least one value, all above 0."""
    return values[0] * math.exp(math.fsum(_logs(values)) / len(values))


def typical_ms(samples: Sequence[float], inputs: Sequence[int]) -> float:
    """Return the geometric mean over the inputs of each one's median, so that all count alike, whatever they cost.

    The median of all samples together does not see what becomes of the inputs above it.

    Args:
        samples: durations in ms.
        inputs: which input each of them belongs to, of the same length.

    Returns:
        0 where an input's median is 0, which a coarse clock gives.

    Raises:
        ValueError: there are no samples, or the lengths differ.
    """
    middles = list(_medians(samples, inputs).values())
    if not middles:
        raise ValueError("typical_ms: expected at least one sample, found none")
    return geometric_mean(middles) if min(middles) > 0 else 0.0


def relative_to_inputs(samples: Sequence[float], inputs: Sequence[int]) -> list[float]:
    """Return each sample divided by the median of its own input; 1 where that is 0, which a coarse clock gives.

    Raises:
        ValueError: the lengths differ.
    """
    middles = _medians(samples, inputs)
    return [sample / middles[key] if middles[key] > 0 else 1.0 for sample, key in zip(samples, inputs, strict=True)]


def relative_spread(samples: Sequence[float], inputs: Sequence[int]) -> float:
    """Return (p90 - p50) / p50 of the samples, each first divided by the median of its own input.

    Inputs of different cost are then no instability; for a single input it is (p90 - p50) / p50 itself. An input
    whose median is 0, which a coarse clock gives, counts as steady.

    Args:
        samples: durations.
        inputs: which input each of them belongs to, of the same length.

    Raises:
        ValueError: there are no samples, or the lengths differ.
    """
    ratios = relative_to_inputs(samples, inputs)
    middle = percentile(ratios, 50)
    return (percentile(ratios, 90) - middle) / middle


def summarize(processes: Sequence[Sequence[float]], inputs: Sequence[Sequence[int]] | None = None) -> SeriesSummary:
    """Return the figures of a series in ms over fresh processes, rounded to 0.1 µs.

    Args:
        processes: the samples of each, all of one length.
        inputs: which input each sample belongs to; None where all had the same.

    Raises:
        ValueError: there are no samples, or the lengths differ.
    """
    samples = [sample for process in processes for sample in process]
    p50, p90, p99 = (percentile(samples, percent) for percent in (50, 90, 99))
    of_input = [0] * len(samples) if inputs is None else [key for process in inputs for key in process]
    spread = relative_spread(samples, of_input)
    low, high = _widened(percentile_interval(processes, 50, inputs), p50, len(processes))
    return SeriesSummary(
        n=len(samples),
        min_ms=round(min(samples), _DIGITS),
        p50_ms=round(p50, _DIGITS),
        p90_ms=round(p90, _DIGITS),
        p99_ms=round(p99, _DIGITS),
        mean_ms=round(math.fsum(samples) / len(samples), _DIGITS),
        p50_interval95_ms=(round(low, _DIGITS), round(high, _DIGITS)),
        spread=round(spread, _DIGITS),
        unstable=spread > UNSTABLE_SPREAD,
    )


def process_ratio(processes: Sequence[float], references: Sequence[float]) -> ProcessRatio:
    """Compare a figure of fresh processes with that of others by Welch's t on the logarithms.

    Neither do both have to spread alike nor to be as many. (Welch, "The generalization of 'Student's' problem when
    several different population variances are involved", Biometrika 34, 1947.)

    Args:
        processes: the figure of each, at least two.
        references: what it is divided by, at least two.

    Raises:
        ValueError: there are fewer, or one is not above 0.
    """
    if min(len(processes), len(references)) < 2:
        raise ValueError(f"expected two processes or more, found {min(len(processes), len(references))}")
    if min(*processes, *references) <= 0:
        raise ValueError(f"expected figures above 0 of all processes, found {min(*processes, *references):g}")
    ratio = geometric_mean(processes) / geometric_mean(references)
    above2, below2 = _log_error_squared(processes), _log_error_squared(references)
    error2 = above2 + below2
    # Not one process differs from the others of its side: memory, counted in pages, does that.
    if error2 == 0:
        return ProcessRatio(ratio=ratio, interval95=(ratio, ratio), p_value=1.0 if ratio == 1 else 0.0)
    error = math.sqrt(error2)
    freedom = 1 / ((above2 / error2) ** 2 / (len(processes) - 1) + (below2 / error2) ** 2 / (len(references) - 1))
    reach = math.exp(student_quantile(_UPPER, freedom) * error)
    return ProcessRatio(
        ratio=ratio,
        interval95=(ratio / reach, ratio * reach),
        p_value=2 * student_tail(abs(math.log(ratio)) / error, freedom),
    )


def student_tail(t: float, freedom: float) -> float:
    """Return how often Student's t is above `t`.

    With t = sqrt(freedom) / tan(angle) its density becomes that of the angle, sin(angle) ** (freedom - 1) over
    0 to pi, which is integrated from 0.

    Args:
        t: 0 or more.
        freedom: degrees of freedom, 1 to 1000, not only whole ones.
    """
    return _sine_power_integral(math.atan2(math.sqrt(freedom), t), freedom - 1) / _whole_integral(freedom)


def student_quantile(probability: float, freedom: float) -> float:
    """Return what Student's t is below with a probability.

    Args:
        probability: 0.5 to less than 1.
        freedom: degrees of freedom, 1 to 1000, not only whole ones.
    """
    tail = (1 - probability) * _whole_integral(freedom)
    # The integral is convex up to the middle, so that Newton's steps from there come down to the root from above it.
    angle = math.pi / 2
    for _ in range(_NEWTON_STEPS):
        step = (_sine_power_integral(angle, freedom - 1) - tail) / math.sin(angle) ** (freedom - 1)
        angle -= step
        if step <= 1e-12 * angle:
            break
    return math.sqrt(freedom) / math.tan(angle)


def _medians(samples: Sequence[float], inputs: Sequence[int]) -> dict[int, float]:
    by_input: dict[int, list[float]] = {}
    for sample, key in zip(samples, inputs, strict=True):
        by_input.setdefault(key, []).append(sample)
    return {key: percentile(values, 50) for key, values in by_input.items()}


def _log_error_squared(values: Sequence[float]) -> float:
    """Return the square of the standard error of the logarithms' mean; 0 of equal values, without any rounding."""
    logs = _logs(values)
    mean = math.fsum(logs) / len(logs)
    return math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1) / len(logs)


def _logs(values: Sequence[float]) -> list[float]:
    """Return the logarithms of the ratios to the first value, 0 of equal ones."""
    return [math.log(value / values[0]) for value in values]


def _widened(interval: tuple[float, float], figure: float, n_processes: int) -> tuple[float, float]:
    """Return a resampled interval as wide as n processes make it.

    Resampling takes the spread of the n for that of all there might be, although it is sqrt((n - 1) / n) of that, and
    goes as far as a normal distribution, although a spread that is itself found from n processes asks for Student's t
    with n - 1 degrees of freedom: together 1.87 times too short for 4, 1.21 for 10. What is stretched is the ratio to
    the figure, so that no end comes to lie below 0.
    """
    if n_processes == 1 or figure <= 0:
        return interval
    factor = student_quantile(_UPPER, n_processes - 1) / _NORMAL_UPPER * math.sqrt(n_processes / (n_processes - 1))
    low, high = interval
    return figure * min(low / figure, 1.0) ** factor, figure * max(high / figure, 1.0) ** factor


@cache
def _nodes() -> tuple[Floats, Floats]:
    """Return positions and weights of Gauss and Legendre's rule over 0 to 1."""
    positions, weights = np.polynomial.legendre.leggauss(_N_NODES)
    return (positions + 1) / 2, weights / 2


def _sine_power_integral(angle: float, power: float) -> float:
    """Return the integral of sin(x) ** power from 0 to an angle of at most pi / 2."""
    positions, weights = _nodes()
    return angle * float(weights @ np.sin(angle * positions) ** power)


def _whole_integral(freedom: float) -> float:
    """Return the same with the power `freedom - 1` from 0 to pi."""
    return math.sqrt(math.pi) * math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2))
