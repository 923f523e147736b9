"""Figures of merit of a classifier, with the uncertainty that a finite test set leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CALIBRATION_BINS",
    "Accuracy",
    "Reliability",
    "Share",
    "accuracy",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_f1",
    "per_class_precision",
    "per_class_recall",
    "reliability",
    "wilson_interval",
]

CALIBRATION_BINS = 15  # of Guo et al. 2017, so that figures compare
_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point
_DIGITS = 6


def wilson_interval(count: int, n: int) -> tuple[float, float]:
    """Return the bounds, 0 to 1, of the 95 % score interval (Wilson 1927) of `count` out of `n`; n is at least 1."""
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"expected a count from 0 to n and n of at least 1, found {count} of {n}")
    share, z2 = count / n, _Z_95 * _Z_95
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(center - half, 0.0), min(center + half, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A share of right answers and its 95 % Wilson score interval.

    Attributes:
        top1: share of right answers, 0 to 1.
        n: number of answers.
        low, high: bounds of the interval, 0 to 1.
    """

    top1: float
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.top1:.2f} % (95 % interval {100 * self.low:.2f} to {100 * self.high:.2f}, n = {self.n})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of some things have a property.

    Attributes:
        count: how many have it.
        n: how many there are; of none of them there is no share.
    """

    count: int
    n: int

    @property
    def share(self) -> float:
        """Count over n, 0 to 1; NaN where n is 0."""
        return self.count / self.n if self.n else math.nan

    @property
    def interval95(self) -> tuple[float, float]:
        """Bounds of the 95 % Wilson score interval, 0 to 1; NaN where n is 0."""
        return wilson_interval(self.count, self.n) if self.n else (math.nan, math.nan)

    def __str__(self) -> str:
        if not self.n:
            return "- (0 of 0)"
        low, high = self.interval95
        return f"{100 * self.share:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f}, {self.count} of {self.n})"

    def short(self) -> str:
        """Return percent and interval for a table's cell, e.g. "92.2 (89.1-94.5)"."""
        if not self.n:
            return "-"
        low, high = self.interval95
        return f"{100 * self.share:.1f} ({100 * low:.1f}-{100 * high:.1f})"

    def to_json(self) -> dict[str, Any]:
        """Return JSON types; share and interval are null where n is 0."""
        return {
            "share": round(self.share, _DIGITS) if self.n else None,
            "count": self.count,
            "n": self.n,
            "interval95": [round(bound, _DIGITS) for bound in self.interval95] if self.n else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliability:
    """How often answers of a stated confidence are right, in bins of equal width over 0 to 1.

    Attributes:
        counts: int64 (bins,), answers in each bin.
        confidence: float64 (bins,), their mean confidence; NaN in an empty bin.
        accuracy: float64 (bins,), the share of them that is right; NaN in an empty bin.
    """

    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error, 0 to 1: mean gap of confidence and accuracy over answers (Guo et al. 2017)."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float(np.sum(self.counts[filled] * gaps) / np.sum(self.counts))

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Bounds of the bins, float64 (bins + 1,)."""
        return np.linspace(0.0, 1.0, len(self.counts) + 1)

    def to_json(self) -> list[dict[str, Any]]:
        """Return one object for each bin, JSON types; an empty bin has neither confidence nor accuracy."""
        edges = self.edges
        return [
            {
                "from": round(float(edges[index]), _DIGITS),
                "to": round(float(edges[index + 1]), _DIGITS),
                "n": int(count),
                "confidence": round(float(self.confidence[index]), _DIGITS) if count else None,
                "accuracy": round(float(self.accuracy[index]), _DIGITS) if count else None,
            }
            for index, count in enumerate(self.counts)
        ]


def accuracy(predicted: npt.NDArray[np.int64], actual: npt.NDArray[np.int64]) -> Accuracy:
    """Compare class indices (n,) with the true ones (n,); n must be at least 1."""
    n = len(actual)
    if n == 0 or predicted.shape != actual.shape:
        raise ValueError(f"expected two equally long, non-empty arrays, found {predicted.shape} and {actual.shape}")
    right = int(np.sum(predicted == actual))
    low, high = wilson_interval(right, n)
    return Accuracy(top1=right / n, n=n, low=low, high=high)


def confusion_matrix(
    predicted: npt.NDArray[np.int64], actual: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    """Return counts int64 (n_classes, n_classes): rows are true classes, columns predicted ones."""
    counts = np.bincount(actual * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def per_class_recall(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return float64 (n_classes,): the share of each true class that was found; NaN for a class without samples."""
    return _diagonal_share(confusion, confusion.sum(axis=1))


def per_class_precision(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return float64 (n_classes,): the share of each predicted class that is right; NaN for one never predicted."""
    return _diagonal_share(confusion, confusion.sum(axis=0))


def _diagonal_share(confusion: npt.NDArray[np.int64], totals: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    shares = np.full(len(confusion), np.nan)
    np.divide(np.diag(confusion), totals, out=shares, where=totals > 0)
    return shares


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN); a class never present nor predicted is left out."""
    true_positive = np.diag(confusion).astype(np.float64)
    denominator = confusion.sum(axis=1) + confusion.sum(axis=0)
    present = denominator > 0
    return float(np.mean(2.0 * true_positive[present] / denominator[present]))


def reliability(
    probs: npt.NDArray[np.floating], actual: npt.NDArray[np.int64], n_bins: int = CALIBRATION_BINS
) -> Reliability:
    """Sort answers (n, classes) into bins by their largest probability; n is at least 1."""
    confidence = probs.max(axis=1).astype(np.float64)
    right = (probs.argmax(axis=1) == actual).astype(np.float64)
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    means = []
    for values in (confidence, right):
        mean = np.full(n_bins, np.nan)
        np.divide(np.bincount(bins, weights=values, minlength=n_bins), counts, out=mean, where=counts > 0)
        means.append(mean)
    return Reliability(counts=counts.astype(np.int64), confidence=means[0], accuracy=means[1])


def expected_calibration_error(
    probs: npt.NDArray[np.floating], actual: npt.NDArray[np.int64], n_bins: int = CALIBRATION_BINS
) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017, equation 5)."""
    return reliability(probs, actual, n_bins).expected_error
