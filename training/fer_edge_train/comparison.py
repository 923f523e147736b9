"""Which of two models is better, judged on the same faces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_train.metrics import wilson_interval

__all__ = ["PairedComparison", "compare_paired"]

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two models' answers to the same n faces, counted by who is right; n must be at least 1.

    Attributes:
        both_right, only_first, only_second, neither: numbers of faces.
    """

    both_right: int
    only_first: int
    only_second: int
    neither: int

    def __post_init__(self) -> None:
        counts = (self.both_right, self.only_first, self.only_second, self.neither)
        if min(counts) < 0 or not any(counts):
            raise ValueError(f"expected four counts of at least 0 and one face or more, found {counts}")

    @property
    def n(self) -> int:
        """Number of faces."""
        return self.both_right + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Share that the first model has right less that of the second, -1 to 1."""
        return (self.only_first - self.only_second) / self.n

    @property
    def interval95(self) -> tuple[float, float]:
        """Bounds of the difference's 95 % interval for paired shares.

        Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data"
        (1998), method 10: the two Wilson intervals joined, with the correlation of the answers.
        """
        n = self.n
        first, second = self.both_right + self.only_first, self.both_right + self.only_second
        share_1, share_2 = first / n, second / n
        (low_1, high_1), (low_2, high_2) = wilson_interval(first, n), wilson_interval(second, n)
        phi = self._correlation()
        below, above = (share_1 - low_1, high_2 - share_2), (high_1 - share_1, share_2 - low_2)
        return (
            self.difference - _joined_length(*below, phi),
            self.difference + _joined_length(*above, phi),
        )

    @property
    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test (1947) that neither model is right more often.

        Of the faces that one model alone has right, each model has its half: a binomial test on these.
        """
        one_right = self.only_first + self.only_second
        term = tail = 1
        for k in range(min(self.only_first, self.only_second)):
            term = term * (one_right - k) // (k + 1)  # the next binomial coefficient from this one, exactly
            tail += term
        # Whole numbers until the last step: 2^n is beyond a float from 1024 faces on.
        return float(min(2 * tail / 2**one_right, 1.0))

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "n": self.n,
            "both_right": self.both_right,
            "only_first_right": self.only_first,
            "only_second_right": self.only_second,
            "neither_right": self.neither,
            "difference": round(self.difference, _DIGITS),
            "interval95": [round(bound, _DIGITS) for bound in self.interval95],
            "mcnemar_exact_p": float(f"{self.p_value:.6g}"),
        }

    def to_text(self) -> str:
        """Return two lines for people: the difference, and what it rests on."""
        low, high = self.interval95
        return (
            f"difference {100 * self.difference:+.2f} points (95 % interval {100 * low:+.2f} to {100 * high:+.2f}, "
            f"n = {self.n}), McNemar's exact test p = {self.p_value:.3g}\n"
            f"both right {self.both_right}, the first alone {self.only_first}, the second alone {self.only_second}, "
            f"neither {self.neither}"
        )

    def _correlation(self) -> float:
        """Phi coefficient of the 2 x 2 table; a positive one is corrected for continuity, as method 10 has it."""
        first, second = self.both_right + self.only_first, self.both_right + self.only_second
        spread = math.sqrt(first * (self.n - first)) * math.sqrt(second * (self.n - second))
        if not spread:
            return 0.0
        product = self.both_right * self.neither - self.only_first * self.only_second
        return (max(product - self.n / 2, 0.0) if product > 0 else product) / spread


def compare_paired(first_right: npt.NDArray[np.bool_], second_right: npt.NDArray[np.bool_]) -> PairedComparison:
    """Count who is right: bool (n,) of each model, for the same faces in the same order."""
    if first_right.shape != second_right.shape or first_right.ndim != 1:
        raise ValueError(f"expected two equally long arrays, found {first_right.shape} and {second_right.shape}")
    return PairedComparison(
        both_right=int(np.sum(first_right & second_right)),
        only_first=int(np.sum(first_right & ~second_right)),
        only_second=int(np.sum(~first_right & second_right)),
        neither=int(np.sum(~first_right & ~second_right)),
    )


def _joined_length(of_first: float, of_second: float, correlation: float) -> float:
    squared = of_first**2 - 2 * correlation * of_first * of_second + of_second**2
    return math.sqrt(max(squared, 0.0))
