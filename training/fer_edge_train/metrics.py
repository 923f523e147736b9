"""Figures of merit of a classifier, with the uncertainty that a finite test set leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Accuracy", "accuracy", "confusion_matrix", "expected_calibration_error", "macro_f1", "per_class_recall"]

_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A share of right answers and its 95 % Wilson score interval (Wilson 1927).

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


def accuracy(predicted: npt.NDArray[np.int64], actual: npt.NDArray[np.int64]) -> Accuracy:
    """Compare class indices (n,) with the true ones (n,); n must be at least 1."""
    n = len(actual)
    if n == 0 or predicted.shape != actual.shape:
        raise ValueError(f"expected two equally long, non-empty arrays, found {predicted.shape} and {actual.shape}")
    share = float(np.mean(predicted == actual))
    z2 = _Z_95 * _Z_95
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Accuracy(top1=share, n=n, low=max(center - half, 0.0), high=min(center + half, 1.0))


def confusion_matrix(
    predicted: npt.NDArray[np.int64], actual: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    """Return counts int64 (n_classes, n_classes): rows are true classes, columns predicted ones."""
    counts = np.bincount(actual * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def per_class_recall(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return float64 (n_classes,): the share of each true class that was found; NaN for a class without samples."""
    totals = confusion.sum(axis=1)
    recall = np.full(len(confusion), np.nan)
    np.divide(np.diag(confusion), totals, out=recall, where=totals > 0)
    return recall


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN); a class never present nor predicted is left out."""
    true_positive = np.diag(confusion).astype(np.float64)
    denominator = confusion.sum(axis=1) + confusion.sum(axis=0)
    present = denominator > 0
    return float(np.mean(2.0 * true_positive[present] / denominator[present]))


def expected_calibration_error(
    probs: npt.NDArray[np.floating], actual: npt.NDArray[np.int64], n_bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017, equation 5)."""
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == actual
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    error = 0.0
    for index in range(n_bins):
        inside = bins == index
        if inside.any():
            error += float(inside.mean()) * abs(float(right[inside].mean()) - float(confidence[inside].mean()))
    return error
