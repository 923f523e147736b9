"""Which training images set the ranges of an int8 network, as many of each class, and which decide between recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_edge.errors import InputError
from fer_edge_convert.conversion_data import ConversionData
from fer_edge_train.datasets import FaceSet

__all__ = ["Calibration", "draw_calibration", "draw_selection"]

_SELECTION_IMAGES = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """A calibration set and how it was drawn."""

    faces: FaceSet
    per_class: int
    seed: int

    def to_json(self, data: ConversionData) -> dict[str, Any]:
        """Return what identifies the set, as JSON types; `data` is what it was drawn from."""
        return {
            "data": data.pool_title,
            "data_file_sha256": data.pool_sha256,
            "images": len(self.faces),
            "images_per_class": self.per_class,
            "seed": self.seed,
            "digest": self.faces.digest(),
        }


def draw_calibration(pool: FaceSet, *, per_class: int, seed: int) -> Calibration:
    """Draw `per_class` images of each class.

    Raises:
        InputError: a class has fewer images.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for index, label in enumerate(pool.labels):
        members = np.flatnonzero(pool.label_indices == index)
        if len(members) < per_class:
            raise InputError(
                f"calibration: expected at least {per_class} training images of {label}, found {len(members)}; "
                "ask for fewer per class"
            )
        chosen.append(rng.choice(members, per_class, replace=False))
    return Calibration(faces=pool.take(np.sort(np.concatenate(chosen))), per_class=per_class, seed=seed)


def draw_selection(pool: FaceSet, calibration: Calibration | None, *, seed: int) -> FaceSet:
    """Draw the faces that decide between recipes: a thousand, as often of each class as in the pool, none calibrated.

    Raises:
        InputError: calibration leaves none over.
    """
    rest = pool.without_images_of(calibration.faces) if calibration else pool
    if not len(rest):
        raise InputError("calibration takes every training image; ask for fewer per class to have some to choose by")
    rng = np.random.default_rng(seed)
    return rest.take(np.sort(rng.choice(len(rest), min(_SELECTION_IMAGES, len(rest)), replace=False)))
