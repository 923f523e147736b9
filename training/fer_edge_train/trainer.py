"""What the training loop asks of whatever computes the steps: Keras on any backend, or torch alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge_train.batches import Batch, BatchSource
from fer_edge_train.datasets import FaceSet
from fer_edge_train.recipe import Recipe

__all__ = [
    "FOCAL_FLOOR",
    "Arrays",
    "Floats",
    "StepFigures",
    "Trainer",
    "TrainerSetup",
    "averaging_share",
    "image_weights",
]

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

# 1 - p of the focal loss stays above this: a power below 1 has no slope at 0.
FOCAL_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainerSetup:
    """What a trainer is made of.

    Attributes:
        model: uncompiled keras.Model, with the initial weights; it receives the trained ones.
        recipe: how to train it.
        teachers: keras.Models from the same pixels to logits.
    """

    model: Any
    recipe: Recipe
    teachers: Sequence[Any] = field(default=())


@dataclass(frozen=True, slots=True)
class StepFigures:
    """Means over the steps since the last call: loss, and share of images whose likeliest target was answered."""

    loss: float
    top1: float


class Trainer(Protocol):
    """One network in training."""

    def begin_epoch(self, seed: int, view: int | None) -> None:
        """Set the state of what is random within the network (dropout), and which fixed view the epoch sees, if any."""
        ...

    def batches(self, faces: FaceSet, targets: Floats, weights: Floats, epoch: int) -> BatchSource:
        """Return the batches of an epoch (from 0), made where they are fastest: beside the steps, or on a GPU."""
        ...

    def step(self, batch: Batch, rate: float, number: int) -> None:
        """Do optimizer step `number` (from 0 over the whole run) with a learning rate."""
        ...

    def figures(self) -> StepFigures:
        """Return the means over the steps since the last call."""
        ...

    def kept_weights(self) -> list[Floats]:
        """Return the averaged weights as Keras' `get_weights` does; the trained ones where nothing is averaged."""
        ...

    def logits(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Return what the network with the kept weights answers, float32 (n, classes), for uint8 (n, h, w, c)."""
        ...

    def state(self) -> Arrays:
        """Return all that the next step depends on."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Take back a state.

        Raises:
            KeyError, ValueError: the arrays are of another network or optimizer.
        """
        ...


def averaging_share(decay: float, number: int) -> float:
    """Return how far step `number` moves the averaged weights; the first steps move them far, or they would lag."""
    return 1.0 - min(decay, (number + 1) / (number + 10))


def image_weights(label_indices: npt.NDArray[np.int64], n_classes: int, power: float) -> Floats:
    """Return what each image counts in the loss, float32 (n,): (1 / count of its class) ** power, with mean 1.

    The whole of an image's loss counts so, whatever classes its soft target touches: to weight the parts of a target
    would teach that happy faces are disgusted.
    """
    counts = np.bincount(label_indices, minlength=n_classes).astype(np.float64)
    weights = counts[label_indices] ** -power
    return np.asarray(weights / weights.mean(), dtype=np.float32)
