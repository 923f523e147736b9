from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.trainer import averaging_share, class_weights


@pytest.mark.parametrize(
    ("decay", "number", "share"),
    [(0.999, 0, 0.9), (0.999, 9, 9 / 19), (0.999, 100_000, 0.001), (0.5, 0, 0.9), (0.5, 20, 0.5)],
)
def test_averaging_follows_fast_at_first_then_at_the_decay(decay, number, share):
    assert averaging_share(decay, number) == pytest.approx(share)


@pytest.mark.parametrize(
    ("power", "weights"),
    [
        (0.0, [1.0, 1.0, 1.0]),
        # counts 6, 3, 1: mean count over count is 10/18, 10/9, 10/3; its mean over the ten images is 1.
        (1.0, [10 / 18, 10 / 9, 10 / 3]),
        # square roots 0.7454, 1.0541, 1.8257; mean over the images 0.9460.
        (0.5, [0.78793, 1.11430, 1.93002]),
    ],
)
def test_class_weights_by_hand(power, weights):
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    found = class_weights(labels, 3, power)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, weights, rtol=1e-4)
    assert found[labels].mean() == pytest.approx(1.0)


def test_a_class_without_images_has_a_finite_weight():
    assert np.isfinite(class_weights(np.array([0, 0, 2]), 3, 1.0)).all()
