from __future__ import annotations

import threading

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge_train.augmentation import AUGMENTATIONS
from fer_edge_train.batches import Batches, Prefetched, steps_per_epoch
from fer_edge_train.recipe import Recipe


@pytest.mark.parametrize(
    ("n_images", "batch_size", "steps"),
    [(128, 128, 1), (200, 128, 2), (190, 128, 1), (3, 128, 1), (27_800, 128, 217), (257, 1, 257)],
)
def test_steps_per_epoch(n_images, batch_size, steps):
    assert steps_per_epoch(n_images, batch_size) == steps


def batches_of(epoch: int, *, seed: int = 1, augmentation: str = "light", views: int = 0) -> Batches:
    faces = learnable_set(50)
    targets = np.arange(50, dtype=np.float32)[:, np.newaxis]  # marks each image
    recipe = Recipe(
        architecture="mini_xception", seed=seed, batch_size=8, views=views, augmentation=AUGMENTATIONS[augmentation]
    )
    weights = np.arange(100, 150, dtype=np.float32)
    return Batches(faces, targets, weights, recipe, epoch)


def test_batches_hold_each_image_once_beside_its_target():
    batches = batches_of(0, augmentation="none")
    parts = [batches[i] for i in range(len(batches))]
    assert [len(part.images) for part in parts] == [8] * 6  # two images wait for the next shuffle
    images, marks, weights, members = (np.concatenate(each) for each in zip(*parts, strict=True))
    assert images.dtype == np.float32
    marks = marks[:, 0].astype(int)
    assert len(set(marks)) == 48
    np.testing.assert_array_equal(weights, marks + 100)
    np.testing.assert_array_equal(members, marks)
    np.testing.assert_array_equal(images * 128 + 128, learnable_set(50).images[marks])


def content(batches) -> bytes:
    return b"".join(part.tobytes() for batch in batches for part in batch)


def test_batches_are_a_function_of_seed_and_epoch():
    def of(epoch, seed):
        batches = batches_of(epoch, seed=seed)
        return content(batches[i] for i in range(len(batches)))

    assert of(3, 1) == of(3, 1)
    assert len({of(3, 1), of(4, 1), of(3, 2)}) == 3


def by_image(batches: Batches) -> dict[int, bytes]:
    parts = [batches[i] for i in range(len(batches))]
    return {
        int(member): image.tobytes() for part in parts for member, image in zip(part.members, part.images, strict=True)
    }


def test_views_come_again_in_turn_in_another_order():
    epochs = [by_image(batches_of(epoch, views=2)) for epoch in range(4)]
    for first, again in ((0, 2), (1, 3)):
        assert list(epochs[first]) != list(epochs[again])
        both = set(epochs[first]) & set(epochs[again])
        assert len(both) >= 46
        assert all(epochs[first][member] == epochs[again][member] for member in both)
    both = set(epochs[0]) & set(epochs[1])
    assert sum(epochs[0][member] != epochs[1][member] for member in both) > 40


def test_prefetched_batches_are_the_same_in_the_same_order():
    batches = batches_of(2)
    prefetched = Prefetched(batches)
    assert content(prefetched) == content(batches[i] for i in range(len(batches)))
    assert prefetched.waited_s > 0


class Broken:
    """Batches whose third cannot be made."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if index == 2:
            raise MemoryError("no room for a batch")
        return index


def test_what_fails_in_the_other_thread_is_raised_where_the_batch_is_asked_for():
    batches = iter(Prefetched(Broken()))
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(MemoryError, match="no room for a batch"):
        next(batches)


def test_an_epoch_left_early_leaves_no_thread():
    before = threading.active_count()
    for _ in Prefetched(batches_of(0)):
        break
    assert threading.active_count() == before
