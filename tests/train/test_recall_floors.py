from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge.errors import UsageError
from fer_edge_train.recall_floors import check_recall_floors, logit_offsets, reach_recall_floors


def recall(logits: np.ndarray, labels: np.ndarray, position: int) -> float:
    return float((logits.argmax(axis=1) == position)[labels == position].mean())


def test_the_offset_by_hand():
    # Class 1 lacks 0.5, 1, 2 and 3 against class 0: from 1 on half of its images are named, from 2 on three of four.
    logits = np.array([[0.5, 0], [1, 0], [2, 0], [3, 0], [1, 0]], np.float32)
    labels = np.array([1, 1, 1, 1, 0])
    assert logit_offsets(logits, labels, {1: 0.5}) == pytest.approx([0, 1.5])
    assert logit_offsets(logits, labels, {1: 0.51}) == pytest.approx([0, 2.5])


def test_the_last_image_needs_no_more_than_itself():
    logits = np.array([[0.5, 0], [3, 0], [1, 0]], np.float32)
    assert logit_offsets(logits, np.array([1, 1, 0]), {1: 0.9}) == pytest.approx([0, 3], abs=2e-4)


def test_of_two_that_lack_the_same_both_are_named():
    logits = np.array([[1, 0], [1, 0], [2, 0]], np.float32)
    offsets = logit_offsets(logits, np.array([1, 1, 1]), {1: 0.3})
    assert recall(logits + offsets, np.array([1, 1, 1]), 1) == pytest.approx(2 / 3)


def test_any_recall_needs_one_image():
    logits = np.array([[0.5, 0], [3, 0], [1, 0]], np.float32)
    assert logit_offsets(logits, np.array([1, 1, 0]), {1: 1e-12}) == pytest.approx([0, 1.75])


def test_a_recall_that_is_reached_changes_nothing():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    assert logit_offsets(logits, np.array([0, 1, 2, 1]), {1: 0.5}).tolist() == [0, 0, 0]
    logits = np.array([[-1, 0], [3, 0], [1, 0]], np.float32)  # the next image would need 3: no reason to go half way
    assert logit_offsets(logits, np.array([1, 1, 0]), {1: 0.5}).tolist() == [0, 0]
    logits = np.array([[-5e-5, 0], [3, 0], [1, 0]], np.float32)
    assert logit_offsets(logits, np.array([1, 1, 0]), {1: 0.5}) == pytest.approx([0, 5e-5])


def test_offsets_are_in_the_middle_of_what_just_reaches_the_recalls():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, 400)
    logits = (rng.normal(0, 1, (400, 4)) + 0.8 * np.eye(4)[labels] - [0, 0.5, 1.0, 0]).astype(np.float32)
    floors = {1: 0.6, 2: 0.55}
    offsets = logit_offsets(logits, labels, floors)
    assert offsets[[0, 3]].tolist() == [0, 0]
    steps = np.arange(0, 3, 0.001)
    for position, floor in floors.items():
        n = int((labels == position).sum())
        just_enough = math.ceil(floor * n) / n
        assert recall(logits + offsets, labels, position) == just_enough
        own = np.eye(4)[position]
        others = offsets * (1 - own)
        reaching = [step for step in steps if recall(logits + others + step * own, labels, position) == just_enough]
        assert offsets[position] == pytest.approx((reaching[0] + reaching[-1]) / 2, abs=0.002)


def test_what_the_middle_finds_of_new_images_on_average():
    # 2,000 times 32 held-out images of a class whose lack is uniform in [0, 1): an offset finds that share of new ones,
    # (k + 1/2) / (n + 1) in the middle and k / (n + 1) at the lower end of the range.
    rng = np.random.default_rng(8)
    labels = np.ones(32, np.int64)
    found = []
    for _ in range(2000):
        logits = np.stack([rng.uniform(0, 1, 32), np.zeros(32)], axis=1).astype(np.float32)
        found.append(logit_offsets(logits, labels, {1: 20 / 32})[1])
    assert np.mean(found) == pytest.approx(20.5 / 33, abs=0.006)  # three standard errors


def test_middles_that_push_each_other_up_give_way_to_what_is_needed():
    # Class 0 needs 0.5 for half of its images and class 1 nothing; the middle for class 0 (2) would take class 1's half
    # from it, whose middle would take class 0's, and so on.
    logits = np.array([[0, 0.5], [0, 3.5], [-1.5, 0], [2.5, 0]], np.float32)
    labels = np.array([0, 0, 1, 1])
    offsets = logit_offsets(logits, labels, {0: 0.5, 1: 0.5})
    assert offsets == pytest.approx([0.5, 0], abs=2e-4)
    assert [recall(logits + offsets, labels, position) for position in (0, 1)] == [0.5, 0.5]


def test_the_order_in_which_classes_are_named_is_of_no_consequence():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 4, 300)
    logits = (rng.normal(0, 1, (300, 4)) + 0.8 * np.eye(4)[labels] - [0, 0.5, 1.0, 0]).astype(np.float32)
    first = logit_offsets(logits, labels, {1: 0.6, 2: 0.5, 3: 0.55})
    assert (first[1:] > 0).all()
    np.testing.assert_allclose(logit_offsets(logits, labels, {3: 0.55, 2: 0.5, 1: 0.6}), first, atol=1e-9)


def test_recalls_that_exclude_each_other_are_refused():
    logits = np.zeros((4, 2), np.float32)  # nothing tells the classes apart
    with pytest.raises(UsageError, match="ask for less"):
        logit_offsets(logits, np.array([0, 0, 1, 1]), {0: 0.9, 1: 0.9})


def test_classes_are_checked_before_training():
    faces = learnable_set(70)
    check_recall_floors({"fear": 0.5}, faces)
    with pytest.raises(UsageError, match="--recall fearful: expected one of angry, disgust, fear"):
        check_recall_floors({"fearful": 0.5}, faces)
    without = faces.take(faces.label_indices != faces.labels.index("fear"))
    with pytest.raises(UsageError, match="no held-out image is fear; raise --validation-fraction"):
        check_recall_floors({"fear": 0.5}, without)


def small_model(keras, *, bias: bool = True, pooled: bool = False):
    keras.utils.set_random_seed(3)
    layers = keras.layers
    pixels = keras.Input((48, 48, 1))
    if pooled:  # as in mini_xception: a convolution to the classes, then the mean
        logits = layers.GlobalAveragePooling2D()(layers.Conv2D(7, 5, strides=4, use_bias=bias)(pixels))
    else:
        logits = layers.Dense(7, use_bias=bias)(layers.Flatten()(layers.AveragePooling2D(8)(pixels)))
    return keras.Model(pixels, logits)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_models_bias_takes_the_offsets(keras, pooled):
    from fer_edge_train.keras_trainer import predict_logits

    model, faces = small_model(keras, pooled=pooled), learnable_set(140)
    noisy = np.random.default_rng(1).integers(0, 256, faces.images.shape, dtype=np.uint8)
    faces = replace(faces, images=(faces.images // 2 + noisy // 2).astype(np.uint8))
    before = predict_logits(model, faces.images)
    shifted = reach_recall_floors(model, faces, {"fear": 0.6})
    after = predict_logits(model, faces.images)
    expected = np.zeros(7)
    for label, offset in shifted.offsets.items():
        expected[faces.labels.index(label)] = offset
    np.testing.assert_allclose(after - before, np.tile(expected, (len(faces), 1)), atol=1e-4)
    position = faces.labels.index("fear")
    assert shifted.recall_before["fear"] == pytest.approx(recall(before, faces.label_indices, position))
    assert shifted.recall_before["fear"] < 0.6
    assert shifted.recall_after["fear"] >= 0.6
    for label, found in shifted.recall_after.items():
        assert found == pytest.approx(recall(after, faces.label_indices, faces.labels.index(label)), abs=1e-6)
    assert shifted.top1_after == pytest.approx((after.argmax(axis=1) == faces.label_indices).mean())
    assert set(shifted.to_json()) == {"offsets", "recall_before", "recall_after", "top1_before", "top1_after"}


def test_a_network_without_a_last_bias_is_refused(keras):
    with pytest.raises(UsageError, match="leave --recall away"):
        reach_recall_floors(small_model(keras, bias=False), learnable_set(70), {"fear": 0.9})
