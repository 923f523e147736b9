"""Batches made where the network is trained; a processor stands for the GPU."""

from __future__ import annotations

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge_train.augmentation import AUGMENTATIONS
from fer_edge_train.batches import Batches
from fer_edge_train.recipe import Recipe

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.host

TARGETS = np.arange(50, dtype=np.float32)[:, np.newaxis]
WEIGHTS = np.arange(100, 150, dtype=np.float32)


def batches_of(epoch: int, *, augmentation: str = "strong", **changes):
    from fer_edge_train.torch_backend.device_batches import DeviceBatches, DeviceFaces

    recipe = Recipe(
        architecture="mini_xception", batch_size=8, augmentation=AUGMENTATIONS[augmentation], **{"seed": 1, **changes}
    )
    faces = DeviceFaces(learnable_set(50), TARGETS, WEIGHTS, torch.device("cpu"))
    return DeviceBatches(faces, recipe, epoch), recipe


def test_without_augmentation_they_are_the_processors_batches():
    ours, recipe = batches_of(3, augmentation="none")
    theirs = Batches(learnable_set(50), TARGETS, WEIGHTS, recipe, 3)
    made = list(ours)
    assert len(made) == len(theirs) == 6
    for index, batch in enumerate(made):
        expected = theirs[index]
        np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1), expected.images)
        np.testing.assert_array_equal(batch.targets, expected.targets)
        np.testing.assert_array_equal(batch.weights, expected.weights)
        np.testing.assert_array_equal(batch.members, expected.members)
    assert ours.waited_s > 0


def content(epoch: int, **changes) -> bytes:
    return b"".join(batch.images.numpy().tobytes() for batch in batches_of(epoch, **changes)[0])


def test_they_are_a_function_of_seed_and_epoch():
    assert content(3) == content(3)
    assert len({content(3), content(4), content(3, seed=2)}) == 3


def test_an_epoch_of_the_same_view_shows_the_same_pixels():
    first, again, other = ({} for _ in range(3))
    for epoch, seen in ((0, first), (2, again), (1, other)):
        for batch in batches_of(epoch, views=2)[0]:
            seen |= dict(zip(batch.members.tolist(), batch.images.numpy(), strict=True))
    both = sorted(set(first) & set(again))
    assert list(first) != list(again)
    assert all((first[member] == again[member]).all() for member in both)
    assert sum((first[member] != other[member]).any() for member in set(first) & set(other)) > 40
