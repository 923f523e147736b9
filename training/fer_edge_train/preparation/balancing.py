"""More pictures of small classes: copies with Gaussian noise of mean 0 and variance 5, so that they grow 2 or 3 times.

Jin, Yang, Wei, "Lightweight Facial Emotion Recognition Network Based on Inception V3", section 4.2.

For training pictures alone, after the split. Copies made before a split would put nearly the same picture on both sides
of it: the measured accuracy would then be that of remembering.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import UsageError
from fer_edge_train.datasets import FaceSet

__all__ = ["NOISE_VARIANCE", "Balanced", "balance", "noisy_copy"]

NOISE_VARIANCE = 5.0  # of pixel values 0..255
_FACTORS = (1, 3)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Balanced:
    """A balanced training set.

    Attributes:
        faces: the pictures as they were, then the copies; a copy has the row of its original.
        copy_numbers: int64 (n,), 0 for an original, 1 and 2 for its copies: `noisy_copy` makes them again.
        factors: how many times each class is in it, in the order of the labels.
    """

    faces: FaceSet
    copy_numbers: npt.NDArray[np.int64]
    factors: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return factors and numbers by class as JSON types."""
        counts = np.bincount(self.faces.label_indices, minlength=len(self.faces.labels))
        return {
            "factors": dict(zip(self.faces.labels, self.factors, strict=True)),
            "pictures": {label: int(n) for label, n in zip(self.faces.labels, counts, strict=True)},
            "copies": int((self.copy_numbers > 0).sum()),
        }


def balance(faces: FaceSet, *, seed: int, max_factor: int = 3, variance: float = NOISE_VARIANCE) -> Balanced:
    """Repeat each class with noise as often as it still fits into the size of the largest, at most `max_factor` times.

    Args:
        faces: training pictures alone.
        seed: of the noise; the noise of a copy depends on seed, row and copy number, not on the other pictures.
        max_factor: 1 (no copies) to 3.
        variance: of the noise in squared pixel values.

    Raises:
        UsageError: an option is out of range.
    """
    if not _FACTORS[0] <= max_factor <= _FACTORS[1]:
        raise UsageError(f"max_factor: expected {_FACTORS[0]} to {_FACTORS[1]}, found {max_factor}")
    if not 0.0 <= variance <= 10_000.0:
        raise UsageError(f"variance: expected 0 to 10000, found {variance:g}")
    counts = np.bincount(faces.label_indices, minlength=len(faces.labels))
    factors = tuple(min(int(counts.max() // n), max_factor) if n else 1 for n in counts)

    members, copy_numbers = [np.arange(len(faces))], [np.zeros(len(faces), dtype=np.int64)]
    for copy_number in range(1, max_factor):
        repeated = np.flatnonzero(np.array(factors)[faces.label_indices] > copy_number)
        members.append(repeated)
        copy_numbers.append(np.full(len(repeated), copy_number, dtype=np.int64))
    numbers = np.concatenate(copy_numbers)
    balanced = faces.take(np.concatenate(members).astype(np.int64))
    images = balanced.images.copy()
    for i in np.flatnonzero(numbers):
        images[i] = noisy_copy(
            images[i], seed=seed, row=int(balanced.rows[i]), copy_number=int(numbers[i]), variance=variance
        )
    return Balanced(
        faces=replace(balanced, images=images),
        copy_numbers=numbers,
        factors=factors,
    )


def noisy_copy(image: Pixels, *, seed: int, row: int, copy_number: int, variance: float = NOISE_VARIANCE) -> Pixels:
    """Return the picture plus Gaussian noise of mean 0, rounded and kept within 0..255.

    Rounding adds a variance of 1/12; at black and white, half of the noise is cut off.
    """
    rng = np.random.default_rng([seed, row, copy_number])
    noise = rng.normal(0.0, np.sqrt(variance), image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
