from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.preparation.image_quality import psnr_db, ssim


def pictures(*values: int, side: int = 16) -> np.ndarray:
    return np.stack([np.full((side, side, 1), value, np.uint8) for value in values])


def noisy_pair(channels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    clear = rng.integers(30, 220, (3, 24, 20, channels), dtype=np.uint8)
    return (clear + rng.integers(-20, 21, clear.shape)).astype(np.uint8), clear


@pytest.mark.parametrize(
    ("image", "reference", "expected_db"),
    [
        # 10 log10(255^2 / MSE) for the differences 1, 5 and 255, as the formula's tables give it.
        pytest.param(101, 100, 48.1308036, id="one step everywhere"),
        pytest.param(105, 100, 34.1514036, id="five steps"),
        pytest.param(255, 0, 0.0, id="white for black"),
        pytest.param(0, 1, 48.1308036, id="the sign does not matter, nor does uint8 wrap"),
    ],
)
def test_psnr_of_plain_pictures(image, reference, expected_db):
    assert psnr_db(pictures(image), pictures(reference)) == pytest.approx([expected_db], abs=1e-6)


def test_psnr_of_a_single_wrong_pixel():
    image, reference = pictures(90), pictures(90)
    image[0, 3, 4, 0] = 106  # MSE = 16^2 / 256 = 1
    assert psnr_db(image, reference) == pytest.approx([48.1308036], abs=1e-6)


def test_equal_pictures_have_no_finite_psnr_and_the_others_keep_theirs():
    assert psnr_db(pictures(5, 6), pictures(5, 7)).tolist() == [np.inf, pytest.approx(48.1308036)]


@pytest.mark.host
@pytest.mark.parametrize("channels", [1, 3])
def test_both_figures_are_tensorflows(channels):
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    image, reference = noisy_pair(channels)
    np.testing.assert_allclose(psnr_db(image, reference), tf.image.psnr(image, reference, 255).numpy(), rtol=1e-5)
    np.testing.assert_allclose(ssim(image, reference), tf.image.ssim(image, reference, 255).numpy(), rtol=1e-4)


def test_ssim_of_plain_pictures_is_the_luminance_term():
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(pictures(100), pictures(150)) == pytest.approx([expected], abs=1e-9)
    assert ssim(pictures(100), pictures(100)) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("function", "shape", "other", "message"),
    [
        pytest.param(
            psnr_db, (1, 8, 8, 1), (1, 8, 9, 1), r"one shape, found \(1, 8, 8, 1\) and \(1, 8, 9, 1\)", id="psnr"
        ),
        pytest.param(psnr_db, (8, 8, 1), (8, 8, 1), r"expected two arrays \(n, h, w, c\)", id="a single picture"),
        pytest.param(ssim, (1, 16, 16, 1), (2, 16, 16, 1), "expected two arrays", id="ssim"),
        pytest.param(
            ssim, (1, 10, 16, 1), (1, 10, 16, 1), r"at least 11 x 11 pixels, found \(10, 16\)", id="too small"
        ),
    ],
)
def test_what_cannot_be_compared(function, shape, other, message):
    with pytest.raises(ValueError, match=message):
        function(np.zeros(shape, np.uint8), np.zeros(other, np.uint8))
