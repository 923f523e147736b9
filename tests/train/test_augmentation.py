from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.augmentation import Augmentation

NONE = {
    "mirror_probability": 0.0,
    "rotation_deg": 0.0,
    "scale_range": (1.0, 1.0),
    "shift_fraction": 0.0,
    "contrast_range": (1.0, 1.0),
    "brightness": 0.0,
}


class UpperEnd:
    """Stands for a random generator: draws the upper end of every range, or the lower."""

    def __init__(self, *, upper: bool = True) -> None:
        self.upper = upper

    def random(self, size):
        return np.full(size, 0.5)

    def uniform(self, low, high, size):
        return np.full(size, high if self.upper else low)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (4, 48, 48, 1), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_change_gives_the_same_bytes(channels):
    images = np.random.default_rng(3).integers(0, 256, (5, 48, 40, channels), dtype=np.uint8)
    before = images.copy()
    changed = Augmentation(**NONE).apply(images, np.random.default_rng(0))
    np.testing.assert_array_equal(changed, images)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(changed, images)


def test_mirroring_is_an_exact_flip_left_to_right(images):
    augmentation = Augmentation(**{**NONE, "mirror_probability": 1.0})
    np.testing.assert_array_equal(augmentation.apply(images, np.random.default_rng(0)), np.flip(images, axis=2))


def test_half_of_the_faces_are_mirrored():
    images = np.tile(np.arange(48, dtype=np.uint8)[:, np.newaxis], (2000, 48, 1, 1))
    changed = Augmentation(**{**NONE, "mirror_probability": 0.5}).apply(images, np.random.default_rng(0))
    assert 900 < int((changed[:, 0, 0, 0] == 47).sum()) < 1100


def test_the_generator_decides_everything(images):
    first, again, other = (Augmentation().apply(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len({image.tobytes() for image in Augmentation().apply(images[[0, 0, 0]], np.random.default_rng(1))}) == 3


@pytest.mark.parametrize(("upper", "pixels"), [(True, 3), (False, -3)])
def test_a_shift_by_whole_pixels_moves_the_picture_and_repeats_its_border(images, upper, pixels):
    augmentation = Augmentation(**{**NONE, "shift_fraction": 3 / 48})
    changed = augmentation.apply(images, UpperEnd(upper=upper))
    source = np.clip(np.arange(48) - pixels, 0, 47)
    np.testing.assert_array_equal(changed, images[:, source][:, :, source])


@pytest.mark.parametrize(("upper", "turns"), [(True, 1), (False, -1)])
def test_a_quarter_turn_is_exact(images, upper, turns):
    changed = Augmentation(**{**NONE, "rotation_deg": 90.0}).apply(images, UpperEnd(upper=upper))
    np.testing.assert_array_equal(changed, np.rot90(images, turns, axes=(1, 2)))


@pytest.mark.parametrize(("factor", "side"), [(1.5, 24), (0.5, 8)])
def test_scaling_changes_size_around_the_centre(factor, side):
    image = np.zeros((1, 48, 48, 1), np.uint8)
    image[:, 16:32, 16:32] = 255
    changed = Augmentation(**{**NONE, "scale_range": (factor, factor)}).apply(image, UpperEnd())
    start = (48 - side) // 2
    expected = np.zeros((48, 48), bool)
    expected[start : start + side, start : start + side] = True
    np.testing.assert_array_equal(changed[0, :, :, 0] > 127, expected)


@pytest.mark.parametrize(
    ("contrast", "brightness", "table"),
    [
        (1.5, 10.0, {0: 0, 51: 22, 100: 96, 101: 98, 128: 138, 200: 246, 206: 255, 255: 255}),
        (0.5, 0.0, {0: 64, 100: 114, 128: 128, 130: 129, 255: 192}),
        (1.0, 20.0, {0: 20, 235: 255, 240: 255}),
    ],
)
def test_contrast_and_brightness_by_hand(contrast, brightness, table):
    image = np.zeros((1, 1, len(table), 1), np.uint8)
    image[0, 0, :, 0] = list(table)
    augmentation = Augmentation(**{**NONE, "contrast_range": (contrast, contrast), "brightness": brightness})
    assert augmentation.apply(image, UpperEnd())[0, 0, :, 0].tolist() == list(table.values())
