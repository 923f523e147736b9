"""Figures of a series of durations. No sample is ever left out: outliers are what throttling looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["UNSTABLE_SPREAD", "SeriesSummary", "percentile", "summarize"]

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
        unstable: (p90 - p50) / p50 is above UNSTABLE_SPREAD.
    """

    n: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
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


def summarize(samples_ms: Sequence[float]) -> SeriesSummary:
    """Return the figures of a series in ms, rounded to 0.1 µs.

    Raises:
        ValueError: there are no samples.
    """
    p50, p90, p99 = (percentile(samples_ms, percent) for percent in (50, 90, 99))
    return SeriesSummary(
        n=len(samples_ms),
        min_ms=round(min(samples_ms), _DIGITS),
        p50_ms=round(p50, _DIGITS),
        p90_ms=round(p90, _DIGITS),
        p99_ms=round(p99, _DIGITS),
        mean_ms=round(math.fsum(samples_ms) / len(samples_ms), _DIGITS),
        unstable=p90 - p50 > UNSTABLE_SPREAD * p50,
    )
