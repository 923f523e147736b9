from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import UsageError
from fer_edge_train.preparation.haze import Haze, scatter

GRADIENT = np.linspace(0, 255, 48, dtype=np.uint8)[np.newaxis, np.newaxis, :, np.newaxis].repeat(48, axis=1)


def test_pixels_worked_out_by_hand():
    clear = np.array([0, 100, 255], np.uint8).reshape(1, 1, 3, 1)
    transmission = np.array([0.5, 0.25, 0.8]).reshape(1, 1, 3)
    # I = J t + 255 A (1 - t) with A = 0.8: 0 + 102; 25 + 153; 204 + 40.8
    assert scatter(clear, transmission, np.array([0.8])).ravel().tolist() == [102, 178, 245]


def test_gray_haze_is_the_same_in_every_channel_and_each_picture_has_its_own():
    clear = np.array([[10, 20, 30], [10, 20, 30]], np.uint8).reshape(2, 1, 1, 3)
    hazy = scatter(clear, np.full((2, 1, 1), 0.5), np.array([1.0, 0.6]))
    assert hazy.reshape(2, 3).tolist() == [[132, 138, 142], [82, 86, 92]]  # 132.5 and 137.5 round to even


@pytest.mark.parametrize(
    ("transmission", "expected"),
    [pytest.param(1.0, GRADIENT, id="no haze"), pytest.param(0.0, np.full_like(GRADIENT, 204), id="nothing but haze")],
)
def test_the_ends_of_the_range(transmission, expected):
    np.testing.assert_array_equal(scatter(GRADIENT, np.full((1, 48, 48), transmission), np.array([0.8])), expected)


def coefficients(haze: Haze, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """t (n, h, w) and 255 A (1 - t) of random haze, read off what it makes of black and of white."""
    black, white = np.zeros((n, 48, 48, 1), np.uint8), np.full((n, 48, 48, 1), 255, np.uint8)
    dark = haze.apply(black, np.random.default_rng(seed)).astype(float)[..., 0]
    light = haze.apply(white, np.random.default_rng(seed)).astype(float)[..., 0]
    return (light - dark) / 255, dark


def test_even_haze_draws_airlight_and_transmission_from_their_ranges():
    t, veil = coefficients(Haze(smooth_share=0.0), 200)
    assert np.ptp(t, axis=(1, 2)).max() == 0
    t = t[:, 0, 0]
    assert t.min() >= 0.3 - 0.005
    assert t.max() <= 0.9 + 0.005
    assert t.mean() == pytest.approx(0.6, abs=0.05)  # uniform: standard error 0.012
    airlight = veil[:, 0, 0] / (255 * (1 - t))
    assert airlight.min() > 0.7 - 0.03
    assert airlight.max() < 1.0 + 0.03
    assert airlight.mean() == pytest.approx(0.85, abs=0.03)


def test_smooth_haze_is_transmission_to_the_power_of_a_slowly_changing_distance():
    t, _ = coefficients(Haze(smooth_share=1.0, transmission_range=(0.5, 0.5)), 40)
    assert t.min() >= 0.5**1.5 - 0.005
    assert t.max() <= 0.5**0.5 + 0.005
    assert np.ptp(t, axis=(1, 2)).min() > 0.02
    # From the lowest to the highest of 3 x 3 points lie at least 16 pixels.
    assert np.abs(np.diff(t, axis=2)).max() < 0.36 / 16 + 0.01
    assert np.abs(np.diff(t, axis=1)).max() < 0.36 / 16 + 0.01


def test_the_shares_of_smooth_and_of_clear_pictures():
    t, _ = coefficients(Haze(smooth_share=0.25, clear_share=0.5), 400)
    clear = (t == 1.0).all(axis=(1, 2))
    assert clear.mean() == pytest.approx(0.5, abs=0.1)
    assert (np.ptp(t[~clear], axis=(1, 2)) > 0).mean() == pytest.approx(0.25, abs=0.1)


def test_the_same_seed_makes_the_same_haze():
    def hazy(seed):
        return Haze().apply(GRADIENT.repeat(4, axis=0), np.random.default_rng(seed))

    np.testing.assert_array_equal(hazy(3), hazy(3))
    assert (hazy(3) != hazy(4)).any()
    assert hazy(3).dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"airlight_range": (0.9, 0.7)},
            "airlight_range: expected two numbers from 0 to 1 in order, found 0.9 and 0.7",
        ),
        (
            {"airlight_range": (0.9, 1.7)},
            "airlight_range: expected two numbers from 0 to 1 in order, found 0.9 and 1.7",
        ),
        ({"transmission_range": (-0.1, 0.7)}, "transmission_range: expected two numbers from 0 to 1 in order"),
        ({"smooth_share": 1.5}, "smooth_share: expected a number from 0 to 1, found 1.5"),
        ({"clear_share": float("nan")}, "clear_share: expected a number from 0 to 1, found nan"),
    ],
)
def test_ranges_out_of_bounds(options, message):
    with pytest.raises(UsageError, match=message):
        Haze(**options)
