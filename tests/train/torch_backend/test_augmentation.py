"""torch's changes against OpenCV's, from the same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer_edge_train.augmentation import AUGMENTATIONS, Augmentation

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.host


@pytest.fixture
def images() -> np.ndarray:
    """Smooth pictures with a little grain, as faces are: uint8 (40, 48, 40, 1)."""
    rng = np.random.default_rng(3)
    waves = [rng.uniform(0.05, 0.3, (40, 2)), rng.uniform(0, 6, (40, 2))]
    y, x = np.arange(48)[:, np.newaxis], np.arange(40)
    smooth = [np.sin(f[0] * y + p[0]) + np.sin(f[1] * x + p[1]) for f, p in zip(*waves, strict=True)]
    return np.clip(np.stack(smooth) * 60 + 128 + rng.normal(0, 3, (40, 48, 40)), 0, 255).astype(np.uint8)[..., None]


def both(augmentation: Augmentation, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What torch and OpenCV make of the same draw."""
    from fer_edge_train.torch_backend.augmentation import changed

    changes = augmentation.draw(len(images), images.shape[1:3], np.random.default_rng(5))
    ours = changed(torch.from_numpy(images), changes, torch.Generator().manual_seed(1))
    assert ours.dtype == torch.uint8
    return ours.numpy(), augmentation.apply(images, np.random.default_rng(5))


@pytest.mark.parametrize("channels", [1, 3])
def test_no_change_gives_the_same_bytes(images, channels):
    pictures = np.repeat(images, channels, axis=3)
    before = pictures.copy()
    ours, _ = both(Augmentation(), pictures)
    np.testing.assert_array_equal(ours, before)
    np.testing.assert_array_equal(pictures, before)


@pytest.mark.parametrize(
    "augmentation",
    [
        pytest.param(Augmentation(mirror_probability=0.5), id="mirror"),
        pytest.param(Augmentation(rotation_deg=180.0), id="rotation"),
        pytest.param(Augmentation(scale_range=(0.5, 2.0)), id="scale"),
        pytest.param(Augmentation(shift_fraction=0.3), id="shift"),
        pytest.param(Augmentation(shear_deg=20.0), id="shear"),
        pytest.param(Augmentation(contrast_range=(0.5, 1.5), brightness=30.0), id="tone"),
        pytest.param(Augmentation(blur_probability=0.7, blur_range=(0.1, 1.0)), id="blur"),
        pytest.param(Augmentation(erase_probability=0.7), id="erased box"),
        pytest.param(replace(AUGMENTATIONS["strong"], noise_std_max=0.0), id="all but noise"),
    ],
)
def test_the_same_numbers_make_nearly_the_same_pixels(images, augmentation):
    ours, theirs = both(augmentation, images)
    differences = np.abs(ours.astype(int) - theirs)
    assert differences.mean() < 0.2
    assert np.quantile(differences, 0.999) <= 2
    moved = np.abs(images.astype(int) - theirs).mean()
    assert moved > 20 * differences.mean()


def test_noise_has_the_drawn_deviation_and_is_the_generators():
    from fer_edge_train.torch_backend.augmentation import changed

    gray = torch.full((40, 48, 48, 1), 128, dtype=torch.uint8)
    changes = Augmentation(noise_std_max=10.0).draw(40, (48, 48), np.random.default_rng(2))
    ours, again, other = (changed(gray, changes, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    np.testing.assert_allclose(ours.float().std((1, 2, 3)), changes.noise_std, rtol=0.08, atol=0.15)
    assert torch.equal(ours, again)
    assert not torch.equal(ours, other)
