"""Which images set the ranges of an int8 network: drawn from training rows, as many of each class, with a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_edge.errors import InputError
from fer_edge_train.datasets import FaceSet

__all__ = ["Calibration", "draw_calibration"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """A calibration set and how it was drawn."""

    faces: FaceSet
    per_class: int
    seed: int

    def to_json(self, data_file_sha256: str) -> dict[str, Any]:
        """Return what identifies the set, as JSON types."""
        return {
            "data": "FER-2013 Training",
            "data_file_sha256": data_file_sha256,
            "images": len(self.faces),
            "images_per_class": self.per_class,
            "seed": self.seed,
            "digest": self.faces.digest(),
            "method": "minimum and maximum",
        }


def draw_calibration(training: FaceSet, evaluation: FaceSet, *, per_class: int, seed: int) -> Calibration:
    """Draw `per_class` images of each class from the training images.

    Constant images are left out, and so are images that the evaluation set holds too, to the pixel.

    Raises:
        InputError: a class has fewer images.
    """
    usable = training.without_constant_images().without_images_of(evaluation)
    rng = np.random.default_rng(seed)
    chosen = []
    for index, label in enumerate(usable.labels):
        members = np.flatnonzero(usable.label_indices == index)
        if len(members) < per_class:
            raise InputError(
                f"calibration: expected at least {per_class} training images of {label}, found {len(members)}; "
                "ask for fewer per class"
            )
        chosen.append(rng.choice(members, per_class, replace=False))
    return Calibration(faces=usable.take(np.sort(np.concatenate(chosen))), per_class=per_class, seed=seed)
