from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import UsageError
from fer_edge_train.augmentation import AUGMENTATIONS, Augmentation, augmentation_named


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
    changed = Augmentation().apply(images, np.random.default_rng(0))
    np.testing.assert_array_equal(changed, images)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(changed, images)


def test_mirroring_is_an_exact_flip_left_to_right(images):
    augmentation = Augmentation(mirror_probability=1.0)
    np.testing.assert_array_equal(augmentation.apply(images, np.random.default_rng(0)), np.flip(images, axis=2))


def test_half_of_the_faces_are_mirrored():
    images = np.tile(np.arange(48, dtype=np.uint8)[:, np.newaxis], (2000, 48, 1, 1))
    changed = Augmentation(mirror_probability=0.5).apply(images, np.random.default_rng(0))
    assert 900 < int((changed[:, 0, 0, 0] == 47).sum()) < 1100


def test_the_generator_decides_everything(images):
    first, again, other = (AUGMENTATIONS["strong"].apply(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (
        len({image.tobytes() for image in AUGMENTATIONS["strong"].apply(images[[0, 0, 0]], np.random.default_rng(1))})
        == 3
    )


@pytest.mark.parametrize(("upper", "pixels"), [(True, 3), (False, -3)])
def test_a_shift_by_whole_pixels_moves_the_picture_and_repeats_its_border(images, upper, pixels):
    augmentation = Augmentation(shift_fraction=3 / 48)
    changed = augmentation.apply(images, UpperEnd(upper=upper))
    source = np.clip(np.arange(48) - pixels, 0, 47)
    np.testing.assert_array_equal(changed, images[:, source][:, :, source])


@pytest.mark.parametrize(("upper", "turns"), [(True, 1), (False, -1)])
def test_a_quarter_turn_is_exact(images, upper, turns):
    changed = Augmentation(rotation_deg=90.0).apply(images, UpperEnd(upper=upper))
    np.testing.assert_array_equal(changed, np.rot90(images, turns, axes=(1, 2)))


@pytest.mark.parametrize(("factor", "side"), [(1.5, 24), (0.5, 8)])
def test_scaling_changes_size_around_the_centre(factor, side):
    image = np.zeros((1, 48, 48, 1), np.uint8)
    image[:, 16:32, 16:32] = 255
    changed = Augmentation(scale_range=(factor, factor)).apply(image, UpperEnd())
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
    augmentation = Augmentation(contrast_range=(contrast, contrast), brightness=brightness)
    assert augmentation.apply(image, UpperEnd())[0, 0, :, 0].tolist() == list(table.values())


@pytest.mark.parametrize(("upper", "sign"), [(True, 1), (False, -1)])
def test_a_shear_of_45_degrees_moves_each_row_by_its_distance_from_the_middle(upper, sign):
    image = np.zeros((1, 49, 49, 1), np.uint8)
    image[0, :, 24] = 255  # a vertical line through the middle
    changed = Augmentation(shear_deg=45.0).apply(image, UpperEnd(upper=upper))
    rows = np.arange(10, 40)
    assert changed[0, rows, :, 0].argmax(axis=1).tolist() == (24 + sign * (rows - 24)).tolist()


def test_a_blurred_face_keeps_its_mean_and_loses_its_detail(images):
    changed = Augmentation(blur_probability=1.0, blur_range=(0.5, 0.5)).apply(images, np.random.default_rng(0))
    for before, after in zip(images.astype(float), changed.astype(float), strict=True):
        assert after.mean() == pytest.approx(before.mean(), abs=1.0)
        assert np.abs(np.diff(after, axis=1)).mean() < 0.4 * np.abs(np.diff(before, axis=1)).mean()


def test_noise_has_the_drawn_deviation_and_mean_zero():
    gray = np.full((40, 48, 48, 1), 128, np.uint8)
    changed = Augmentation(noise_std_max=10.0).apply(gray, UpperEndNoise()).astype(float) - 128
    assert changed.mean() == pytest.approx(0.0, abs=0.1)
    assert changed.std() == pytest.approx(10.0, rel=0.02)


class UpperEndNoise(UpperEnd):
    def standard_normal(self, size, dtype):
        return np.random.default_rng(0).standard_normal(size, dtype=dtype)


@pytest.mark.parametrize("area", [0.05, 0.2])
def test_an_erased_box_is_one_gray_and_of_the_asked_area(area):
    images = np.tile(np.arange(48, dtype=np.uint8)[:, np.newaxis], (300, 48, 1, 1))
    augmentation = Augmentation(erase_probability=1.0, erase_area_range=(area, area))
    changed = augmentation.apply(images, np.random.default_rng(1))
    shares = []
    for before, after in zip(images[..., 0], changed[..., 0], strict=True):
        rows, columns = np.nonzero(before != after)
        box = after[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(after[rows, columns])) == 1
        shares.append(box.size / after.size)
    assert np.mean(shares) == pytest.approx(area, rel=0.1)


def test_a_third_of_the_faces_is_erased():
    images = np.zeros((3000, 8, 8, 1), np.uint8)
    changed = Augmentation(erase_probability=1 / 3).apply(images, np.random.default_rng(1))
    assert 900 < int((changed.max(axis=(1, 2, 3)) > 0).sum()) < 1100


def test_the_default_run_keeps_the_changes_it_was_recorded_with():
    assert AUGMENTATIONS["light"].to_json() == {
        "mirror_probability": 0.5,
        "rotation_deg": 10.0,
        "scale_range": [0.9, 1.1],
        "shift_fraction": 0.0625,
        "shear_deg": 0.0,
        "contrast_range": [0.8, 1.2],
        "brightness": 20.0,
        "blur_probability": 0.0,
        "blur_range": [0.4, 0.9],
        "noise_std_max": 0.0,
        "erase_probability": 0.0,
        "erase_area_range": [0.02, 0.2],
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stron", "no augmentation is named 'stron'; did you mean strong?"),
        ("x", "no augmentation is named 'x'; known: none, light, paper-c, paper-d, medium, strong"),
    ],
)
def test_an_unknown_name_suggests_the_near_one(name, message):
    with pytest.raises(UsageError) as caught:
        augmentation_named(name)
    assert str(caught.value) == message
