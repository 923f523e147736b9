"""Ranges on distributions whose best range is known or can be searched for directly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fer_edge_convert.ranges import METHODS, Histogram, observe, ranges


def histogram_of(values: np.ndarray) -> Histogram:
    return observe(lambda batch: {"x": batch}, lambda: [values.astype(np.float32)])["x"]


def range_of(values: np.ndarray, method: str) -> tuple[float, float]:
    return ranges({"x": histogram_of(values)}, method)["x"]


def quantization_error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of 256 steps from low to high, on the values themselves."""
    scale = (high - low) / 255
    zero_point = round(-low / scale)
    stored = np.clip(np.rint(values / scale) + zero_point, 0, 255)
    return float(np.mean((values - (stored - zero_point) * scale) ** 2))


NORMAL = np.random.default_rng(0).normal(0, 1, 200_000)
LAPLACE = np.random.default_rng(1).laplace(0, 1, 200_000)
RECTIFIED = np.maximum(NORMAL, 0)
ONE_OUTLIER = np.append(np.random.default_rng(2).uniform(0, 1, 100_000), 50.0)


def test_a_histogram_counts_all_batches():
    batches = [np.array([0.0, 1.0, 1.0], np.float32), np.array([[2.0, 0.5]], np.float32)]
    found = observe(lambda batch: {"x": batch, "y": -batch}, lambda: batches)
    assert list(found) == ["x", "y"]
    assert (found["x"].low, found["x"].high, found["y"].low) == (0.0, 2.0, -2.0)
    assert found["x"].counts.sum() == found["y"].counts.sum() == 5
    assert found["x"].counts[[0, 512, 1024, 2047]].tolist() == [1, 1, 2, 1]
    assert found["x"].centres[[0, 2047]] == pytest.approx([0.5 * 2 / 2048, 2 - 0.5 * 2 / 2048])


def test_min_max_is_what_was_seen():
    assert range_of(NORMAL, "min-max") == (pytest.approx(NORMAL.min()), pytest.approx(NORMAL.max()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        pytest.param(np.full(100, 3.0), 0.0, 3.0, id="constant above zero"),
        pytest.param(np.full(100, -3.0), -3.0, 0.0, id="constant below zero"),
        # Engines refuse a scale of nothing.
        pytest.param(np.zeros(100), 0.0, 1.0, id="nothing but zero"),
    ],
)
def test_zero_is_inside(method, values, low, high):
    assert range_of(values, method) == (low, high)


@pytest.mark.parametrize("method", METHODS)
def test_zero_of_a_rectified_activation_stays_the_lower_end(method):
    low, high = range_of(RECTIFIED, method)
    assert low == 0.0
    assert 0 < high <= RECTIFIED.max() + 1e-6


def test_percentile_leaves_out_one_in_ten_thousand_at_either_end():
    low, high = range_of(NORMAL, "percentile")
    width = np.ptp(NORMAL) / 2048
    assert low == pytest.approx(np.quantile(NORMAL, 1e-4), abs=2 * width)
    assert high == pytest.approx(np.quantile(NORMAL, 1 - 1e-4), abs=2 * width)


@pytest.mark.parametrize("values", [NORMAL, LAPLACE, RECTIFIED], ids=["normal", "laplace", "rectified"])
def test_mse_is_near_the_best_range_of_a_plain_search(values):
    low, high = range_of(values, "mse")
    found = quantization_error(values, low, high)
    grid = [
        quantization_error(values, share_low * values.min(), share_high * values.max())
        for share_low in (np.linspace(0.2, 1, 25) if values.min() < 0 else [0.0])
        for share_high in np.linspace(0.2, 1, 25)
    ]
    assert found <= 1.03 * min(grid)
    assert found < 0.9 * quantization_error(values, *range_of(values, "min-max")) or values is RECTIFIED


def test_percentile_cuts_one_outlier_off_and_mse_pays_for_it():
    """One value of 50 among a hundred thousand below 1: cut at 1 it costs 49^2 / 100,000, wide steps far less."""
    assert range_of(ONE_OUTLIER, "percentile")[1] == pytest.approx(1.0, abs=50 / 2048)
    assert range_of(ONE_OUTLIER, "mse")[1] > 45


def plain_divergence(counts: np.ndarray, kept: int) -> float:
    """Of the first `kept` bins with the rest piled on the last, from 256 levels of the same bins without the rest."""
    p = counts[:kept].astype(float)
    p[-1] += counts[kept:].sum()
    q = np.zeros(kept)
    for level in range(256):
        members = [i for i in range(kept) if i * 256 // kept == level and counts[i] > 0]
        for i in members:
            q[i] = sum(counts[j] for j in members) / len(members)
    if ((p > 0) & (q == 0)).any():
        return math.inf
    p, q = p / p.sum(), q / q.sum()
    return sum(p[i] * math.log(p[i] / q[i]) for i in range(kept) if p[i] > 0)


def test_entropy_is_the_least_divergence_of_a_plain_search():
    """Most values near zero and a long tail, as rectified activations are: the tail is cut off."""
    values = np.random.default_rng(3).gamma(0.3, size=100_000)
    found = histogram_of(np.append(0.0, values))
    low, high = ranges({"x": found}, "entropy")["x"]
    counts = found.counts.copy()
    counts[0] = counts[1]  # zeros of a rectified activation need no steps
    candidates = {share: int((found.centres <= found.high * share).sum()) for share in np.linspace(1.0, 0.25, 61)}
    costs = {share: plain_divergence(counts, kept) for share, kept in candidates.items()}
    best = min(costs, key=costs.__getitem__)
    assert low == 0.0
    assert high == pytest.approx(found.high * best)


def test_entropy_keeps_an_even_distribution_whole():
    """Any cut piles up values that 256 even levels would have kept."""
    even = np.linspace(0, 1, 2048 * 16)
    assert range_of(even, "entropy")[1] == pytest.approx(1.0)


def test_entropy_is_not_led_by_the_zeros_of_a_rectified_activation():
    high = range_of(RECTIFIED, "entropy")[1]
    assert high > 0.8 * RECTIFIED.max()
    signal, noise = np.mean(RECTIFIED**2), quantization_error(RECTIFIED, 0.0, high)
    assert 10 * math.log10(signal / noise) > 40


def test_bounds_are_finite_for_few_values():
    for method in METHODS:
        assert all(math.isfinite(end) for end in range_of(np.array([0.0, 1e-3, 5.0]), method))
