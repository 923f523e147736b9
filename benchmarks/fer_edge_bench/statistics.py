"""Figures of a series of durations. No sample is ever left out: outliers are what throttling looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge_bench.bootstrap import percentile_interval

__all__ = ["UNSTABLE_SPREAD", "SeriesSummary", "percentile", "relative_spread", "summarize"]

# Where the slowest tenth takes this much longer than the median, the median alone would mislead.
UNSTABLE_SPREAD = 0.2
_DIGITS = 4  # of milliseconds: a tenth of a microsecond


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """Figures of a series of durations, in ms.

    Attributes:
        n: number of samples.
        min_ms, p50_ms, p90_ms, p99_ms: smallest, and percentiles as `percentile` defines them.
        mean_ms: arithmetic mean.
        p50_interval95_ms: low and high of the median, from resampled processes and samples.
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
    by_input: dict[int, list[float]] = {}
    for sample, key in zip(samples, inputs, strict=True):
        by_input.setdefault(key, []).append(sample)
    ratios: list[float] = []
    for values in by_input.values():
        middle = percentile(values, 50)
        ratios += [value / middle if middle > 0 else 1.0 for value in values]
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
    low, high = percentile_interval(processes, 50)
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
