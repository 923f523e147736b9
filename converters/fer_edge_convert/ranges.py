"""Which range of real values each activation's 256 steps cover: observed on calibration images, then clipped or not.

Wide ranges make coarse steps, narrow ones cut what is rare. The four methods are the field's:

- min-max: all that was seen;
- percentile: without the outermost 0.01 % of the values at either end;
- mse: the range whose steps and cuts give the smallest mean squared error (Banner, Nahshan, Soudry, "Post training
  4-bit quantization of convolutional networks for rapid deployment", 2019, solve it for known distributions; here it is
  searched for);
- entropy: the range that keeps most of the distribution, by Kullback-Leibler divergence (Migacz, "8-bit inference with
  TensorRT", 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

__all__ = ["METHODS", "Histogram", "Method", "Range", "observe", "ranges"]

Method = Literal["min-max", "percentile", "mse", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Range = tuple[float, float]
Observer = Callable[[Floats], Mapping[str, Floats]]

_BINS = 2048
_STEPS = 256  # of an eight-bit tensor
_OUTERMOST = 1e-4  # share of the values that "percentile" leaves out at either end
# Ends that are tried, as shares of the observed ones. Below a quarter of the range nothing was ever chosen.
_SHARES = np.linspace(1.0, 0.25, 61)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """How often an activation had which values.

    Attributes:
        low, high: smallest and largest value seen.
        counts: float64 (2048,), of equally wide bins from low to high.
    """

    low: float
    high: float
    counts: Doubles

    @property
    def centres(self) -> Doubles:
        """Float64 (2048,): the middle of each bin."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5), np.float64)


def observe(run: Observer, batches: Callable[[], Iterable[Floats]]) -> dict[str, Histogram]:
    """Count the values of every activation: once for their extremes, once more between these.

    Args:
        run: gives the activations by name for one batch of network inputs.
        batches: gives the same batches each time it is called.
    """
    extremes: dict[str, Range] = {}
    for batch in batches():
        for name, values in run(batch).items():
            low, high = extremes.get(name, (math.inf, -math.inf))
            extremes[name] = (min(low, float(values.min())), max(high, float(values.max())))
    counts = {name: np.zeros(_BINS) for name in extremes}
    for batch in batches():
        for name, values in run(batch).items():
            low, high = extremes[name]
            width = (high - low) / _BINS
            if width > 0:
                bins = np.minimum(((values.ravel() - low) / width).astype(np.int32), _BINS - 1)
                counts[name] += np.bincount(bins, minlength=_BINS)
    return {name: Histogram(low=low, high=high, counts=counts[name]) for name, (low, high) in extremes.items()}


def ranges(histograms: Mapping[str, Histogram], method: Method) -> dict[str, Range]:
    """Return the range that a method chooses for each activation; zero is always inside, as padding needs it."""
    choose = _CHOOSERS[method]
    return {name: _with_zero(choose(found)) for name, found in histograms.items()}


def _with_zero(found: Range) -> Range:
    low, high = min(found[0], 0.0), max(found[1], 0.0)
    # What is always zero needs a step of some size: engines refuse a scale of nothing.
    return (low, high) if low < high else (0.0, 1.0)


def _min_max(found: Histogram) -> Range:
    return found.low, found.high


def _percentile(found: Histogram) -> Range:
    total = found.counts.sum()
    if not total:
        return found.low, found.high
    below = np.cumsum(found.counts) / total
    first = int(np.searchsorted(below, _OUTERMOST, side="right"))
    last = int(np.searchsorted(below, 1 - _OUTERMOST))
    # A bound that many values reach, as ReLU's zero, is no outlier: it stays where it is, not at its bin's middle.
    return (
        found.low if first == 0 else float(found.centres[first]),
        found.high if last >= len(found.counts) - 1 else float(found.centres[last]),
    )


def _mean_squared_error(found: Histogram, low: float, high: float) -> float:
    centres = found.centres
    step = (high - low) / (_STEPS - 1)
    zero_point = np.rint(-low / step)
    stored = np.clip(np.rint(centres / step) + zero_point, 0, _STEPS - 1)
    return float(np.dot(found.counts, (centres - (stored - zero_point) * step) ** 2))


def _divergence(found: Histogram, low: float, high: float) -> float:
    """Kullback-Leibler divergence of the clipped distribution from what 256 levels leave of it."""
    positions = np.flatnonzero((found.centres >= low) & (found.centres <= high))
    if len(positions) < _STEPS:
        return math.inf
    first, last = positions[0], positions[-1]
    kept = found.counts[first : last + 1]
    # What is cut off is piled up at the ends of the one and missing in the other: the price of cutting.
    clipped = kept.copy()
    clipped[0] += found.counts[:first].sum()
    clipped[-1] += found.counts[last + 1 :].sum()
    occupied = kept > 0
    levels = np.arange(len(kept)) * _STEPS // len(kept)
    mass = np.bincount(levels, weights=kept, minlength=_STEPS)
    members = np.bincount(levels, weights=occupied, minlength=_STEPS)
    spread = np.where(occupied, (mass / np.maximum(members, 1))[levels], 0.0)
    filled = clipped > 0
    if not filled.any() or (spread[filled] == 0).any():
        return math.inf
    p, q = clipped[filled] / clipped.sum(), spread[filled] / spread.sum()
    return float(np.sum(p * np.log(p / q)))


def _without_spike_at_zero(found: Histogram) -> Histogram:
    """Return the histogram with its bin of zero as full as the fuller of its neighbours.

    Half of a rectified activation is exactly zero. That one value needs no steps, but spread over a level it would
    outweigh everything else.
    """
    if not found.low <= 0.0 <= found.high or found.low == found.high:
        return found
    counts = found.counts.copy()
    width = (found.high - found.low) / len(counts)
    zero = min(int(-found.low / width), len(counts) - 1)
    counts[zero] = max(counts[max(zero - 1, 0) : zero].max(initial=0.0), counts[zero + 1 : zero + 2].max(initial=0.0))
    return Histogram(low=found.low, high=found.high, counts=counts)


def _entropy(found: Histogram) -> Range:
    return _searched(_divergence)(_without_spike_at_zero(found))


def _searched(cost: Callable[[Histogram, float, float], float]) -> Callable[[Histogram], Range]:
    """Move one end after the other to where the cost is smallest, until neither moves."""

    def choose(found: Histogram) -> Range:
        if not found.counts.any():
            return found.low, found.high
        low, high = min(found.low, 0.0), max(found.high, 0.0)
        for _ in range(4):
            before = (low, high)
            if found.high > 0:
                high = min(found.high * _SHARES, key=lambda end: cost(found, low, float(end)))
            if found.low < 0:
                low = min(found.low * _SHARES, key=lambda end: cost(found, float(end), high))
            if (low, high) == before:
                break
        return float(low), float(high)

    return choose


_CHOOSERS: Mapping[Method, Callable[[Histogram], Range]] = {
    "min-max": _min_max,
    "percentile": _percentile,
    "mse": _searched(_mean_squared_error),
    "entropy": _entropy,
}
