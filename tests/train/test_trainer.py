from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.trainer import averaging_share, image_weights


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
        # Classes of 6, 3 and 1 of ten images: 1 / count is 1/6, 1/3, 1, and its mean over the images 0.3.
        (1.0, [10 / 18, 10 / 9, 10 / 3]),
        # Square roots 0.40825, 0.57735, 1; their mean over the images 0.51816.
        (0.5, [0.78789, 1.11424, 1.92993]),
    ],
)
def test_image_weights_by_hand(power, weights):
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    found = image_weights(labels, 4, power)  # the fourth class has no image
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(weights)[labels], rtol=1e-4)
    assert found.mean() == pytest.approx(1.0)
