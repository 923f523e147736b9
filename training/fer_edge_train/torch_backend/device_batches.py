"""Batches of an epoch made on the device that trains: pixels never leave it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fer_edge_train.batches import Batch, epoch_order, epoch_view, steps_per_epoch
from fer_edge_train.datasets import FaceSet
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD, Recipe
from fer_edge_train.torch_backend.augmentation import changed
from fer_edge_train.trainer import Floats

__all__ = ["DeviceBatches", "DeviceFaces"]

_PART = 4096  # faces changed at once: enough to fill a GPU, few enough for its memory


class DeviceFaces:
    """Training faces, targets and weights in a device's memory."""

    def __init__(self, faces: FaceSet, targets: Floats, weights: Floats, device: torch.device) -> None:
        self.source = faces
        self.images = torch.from_numpy(faces.images).to(device)
        self.targets = torch.from_numpy(targets).to(device)
        self.weights = torch.from_numpy(weights).to(device)


class DeviceBatches:
    """One epoch's shuffled batches, all augmented at its beginning; a function of seed and epoch (or view) alone.

    Attributes:
        waited_s: seconds that making the epoch's images took.
    """

    def __init__(self, faces: DeviceFaces, recipe: Recipe, epoch: int) -> None:
        self._faces, self._recipe = faces, recipe
        n = len(faces.images)
        self._order = epoch_order(n, recipe.seed, epoch)
        started = time.perf_counter()
        view = epoch_view(recipe, epoch)
        self._images = _augmented(faces.images, recipe, epoch if view is None else view)
        if self._images.is_cuda:
            torch.cuda.synchronize()
        self.waited_s = time.perf_counter() - started

    def __iter__(self) -> Iterator[Batch]:
        size = self._recipe.batch_size
        device = self._images.device
        order = torch.from_numpy(self._order).to(device)
        for index in range(steps_per_epoch(len(order), size)):
            part = slice(index * size, (index + 1) * size)
            chosen = order[part]
            pixels = self._images[chosen].permute(0, 3, 1, 2).float()
            yield Batch(
                (pixels - PIXEL_MEAN) / PIXEL_STD,
                self._faces.targets[chosen],
                self._faces.weights[chosen],
                self._order[part],
            )


def _augmented(images: Tensor, recipe: Recipe, number: int) -> Tensor:
    """Return all faces as the epoch or view of that number sees them, uint8 (n, h, w, c)."""
    n, height, width = images.shape[:3]
    rng = np.random.default_rng([recipe.seed, number])
    changes = recipe.augmentation.draw(n, (height, width), rng)
    generator = torch.Generator(images.device)
    generator.manual_seed(int(rng.integers(2**63)))
    made = torch.empty_like(images)
    for start in range(0, n, _PART):
        part = changes.part(start, start + _PART)
        made[start : start + _PART] = changed(images[start : start + _PART], part, generator)
    return made
