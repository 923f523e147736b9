from __future__ import annotations

import pytest

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda k: [k.Conv2D(5, 3)], 8 * 8 * 5 * 3 * 3 * 2, id="convolution"),
        pytest.param(lambda k: [k.Conv2D(5, 3, strides=2, padding="same")], 5 * 5 * 5 * 3 * 3 * 2, id="strided"),
        pytest.param(lambda k: [k.Conv2D(4, 3, groups=2)], 8 * 8 * 4 * 3 * 3 * 1, id="in groups"),
        pytest.param(lambda k: [k.DepthwiseConv2D(3)], 8 * 8 * 2 * 3 * 3, id="depthwise"),
        pytest.param(lambda k: [k.SeparableConv2D(5, 3)], 8 * 8 * (2 * 3 * 3 + 2 * 5), id="separable"),
        pytest.param(lambda k: [k.Flatten(), k.Dense(7)], 10 * 10 * 2 * 7, id="dense"),
        pytest.param(lambda k: [k.BatchNormalization(), k.ReLU(), k.MaxPooling2D(2)], 0, id="nothing to multiply"),
    ],
)
def test_counts_by_hand(keras, make, expected):
    from fer_edge_train.multiply_adds import multiply_adds

    assert multiply_adds(keras.Sequential([keras.Input((10, 10, 2)), *make(keras.layers)])) == expected


def test_a_published_count(keras):
    """MobileNetV2 1.0 at 224 x 224: 300 million (Sandler et al. 2018, table 4)."""
    from fer_edge_train.multiply_adds import multiply_adds

    model = keras.applications.MobileNetV2(weights=None)
    assert multiply_adds(model) == pytest.approx(300e6, rel=0.01)


def test_models_inside_a_model_count(keras):
    from fer_edge_train.multiply_adds import multiply_adds

    inner = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1)])
    outer = keras.Sequential([keras.Input((4, 4, 1)), inner, keras.layers.Conv2D(1, 1)])
    assert multiply_adds(outer) == 16 * 2 + 16 * 2
