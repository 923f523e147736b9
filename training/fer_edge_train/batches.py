"""Batches of one epoch: a function of seed and epoch alone, made ready beside the training step."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge.preprocess import PixelCoding
from fer_edge_train.datasets import FaceSet
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD, Recipe

__all__ = [
    "Batch",
    "BatchSource",
    "Batches",
    "Prefetched",
    "epoch_order",
    "epoch_view",
    "steps_per_epoch",
    "training_coding",
]

Floats = npt.NDArray[np.float32]

_READY = 4  # batches that wait at most: enough for a step that takes long, few enough to cost no memory


class Batch(NamedTuple):
    """What one step sees; a trainer that makes its own batches keeps all but the members on its device.

    Attributes:
        images: network input, float32 (n, h, w, c).
        targets: float32 (n, classes).
        weights: what each image counts, float32 (n,).
        members: int64 (n,), which of the training images they are.
    """

    images: Any
    targets: Any
    weights: Any
    members: npt.NDArray[np.int64]


class BatchSource(Protocol):
    """The batches of one epoch.

    Attributes:
        waited_s: seconds that the training stood still for them.
    """

    waited_s: float

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches in their order."""
        ...


def training_coding() -> PixelCoding:
    """Return the coding of pixels that every network of the zoo is trained with."""
    return PixelCoding(mean=PIXEL_MEAN, std=PIXEL_STD)


def steps_per_epoch(n_images: int, batch_size: int) -> int:
    """Return how many steps see each image once; a rest smaller than half a batch waits for the next shuffle."""
    return max(round(n_images / batch_size), 1)


def epoch_order(n_images: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order in which an epoch sees the training images."""
    return np.random.default_rng([seed, epoch]).permutation(n_images)


def epoch_view(recipe: Recipe, epoch: int) -> int | None:
    """Return which of the recipe's fixed views of the training images an epoch sees; None for one of its own."""
    return epoch % recipe.views if recipe.views else None


class Batches:
    """One epoch's shuffled, augmented batches; a resumed run sees the same."""

    def __init__(self, faces: FaceSet, targets: Floats, weights: Floats, recipe: Recipe, epoch: int) -> None:
        self._faces, self._targets, self._weights = faces, targets, weights
        self._recipe, self._epoch = recipe, epoch
        self._order = epoch_order(len(faces), recipe.seed, epoch)
        self._view = epoch_view(recipe, epoch)
        self._viewed: npt.NDArray[np.uint8] | None = None
        self._coding = training_coding()

    def __len__(self) -> int:
        return steps_per_epoch(len(self._faces), self._recipe.batch_size)

    def __getitem__(self, index: int) -> Batch:
        size = self._recipe.batch_size
        members = self._order[index * size : (index + 1) * size]
        images = self._coding.encode(self._images(members, index))
        return Batch(images, self._targets[members], self._weights[members], members)

    def _images(self, members: npt.NDArray[np.int64], index: int) -> npt.NDArray[np.uint8]:
        augmentation, seed = self._recipe.augmentation, self._recipe.seed
        if self._view is None:
            return augmentation.apply(self._faces.images[members], np.random.default_rng([seed, self._epoch, index]))
        if self._viewed is None:
            # Of all images in their own order, so that every epoch of this view sees the same pixels.
            self._viewed = augmentation.apply(self._faces.images, np.random.default_rng([seed, self._view]))
        return self._viewed[members]


class Prefetched:
    """Iterates over batches that another thread makes; tells how long the training step had to wait for them.

    Attributes:
        waited_s: seconds that the consumer stood still.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._ready: queue.Queue[Batch | BaseException] = queue.Queue(_READY)
        self._stopped = threading.Event()
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[Batch]:
        maker = threading.Thread(target=self._make, name="fer-edge batches", daemon=True)
        maker.start()
        try:
            for _ in range(len(self._batches)):
                started = time.perf_counter()
                item = self._ready.get()
                self.waited_s += time.perf_counter() - started
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._stopped.set()
            maker.join()

    def _make(self) -> None:
        try:
            for index in range(len(self._batches)):
                self._put(self._batches[index])
                if self._stopped.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the batch is asked for
            self._put(error)

    def _put(self, item: Batch | BaseException) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return
