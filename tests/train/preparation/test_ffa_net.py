from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import UsageError

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def build(keras):
    from fer_edge_train.preparation.ffa_net import build_ffa_net

    return build_ffa_net


@pytest.fixture(scope="module")
def tiny(keras, build):
    """A network of 2 groups of 1 block with random weights throughout, its last convolution too."""
    keras.utils.set_random_seed(7)
    model = build(groups=2, blocks=1, filters=16, channels=1)
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def inside(keras, model, pictures, *names):
    """What the layers of these names answer."""
    outputs = [model.get_layer(name).output for name in names]
    return [np.asarray(value) for value in keras.Model(model.input, outputs)(pictures)]


def pictures(n=2, side=12, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (n, side, side, 1)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_papers_size_has_the_papers_parameters(build):
    # Published as 4.456 M. By hand, for 64 filters: 3 x 3 convolution 36,928; block of two, channel attention 1,096 and
    # pixel attention 529: 75,481; group of 19 and a convolution 1,471,067; three of them, stem 1,792, fusion 1,732,
    # pixel attention 529, two convolutions 36,928 + 1,731.
    model = build()
    assert model.count_params() == 3 * 1_471_067 + 1_792 + 1_732 + 529 + 36_928 + 1_731 == 4_455_913
    assert sum("_block" in layer.name and layer.name.endswith("_conv1") for layer in model.layers) == 57


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        pytest.param({"groups": 2, "blocks": 2, "filters": 16, "channels": 1}, 26_435, id="the small one"),
        pytest.param({"groups": 1, "blocks": 1, "filters": 8, "channels": 1}, 2_561, id="the smallest"),
    ],
)
def test_small_sizes(build, size, parameters):
    assert build(**size).count_params() == parameters


def test_channel_attention_weights_each_channel_by_the_means(keras, tiny):
    before, weights, after = inside(
        keras, tiny, pictures(), "group0_block0_conv1", "group0_block0_channel_weights", "group0_block0_channel"
    )
    assert weights.shape == (2, 1, 1, 16)
    squeeze, expand = (tiny.get_layer(f"group0_block0_channel_{name}").get_weights() for name in ("squeeze", "weights"))
    assert squeeze[0].shape == (1, 1, 16, 2)
    hidden = np.maximum(before.mean(axis=(1, 2)) @ squeeze[0][0, 0] + squeeze[1], 0)
    expected = sigmoid(hidden @ expand[0][0, 0] + expand[1])
    np.testing.assert_allclose(weights[:, 0, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(after, before * expected[:, np.newaxis, np.newaxis], rtol=1e-4, atol=1e-6)


def test_pixel_attention_weights_each_pixel_by_its_channels(keras, tiny):
    before, weights, after = inside(
        keras, tiny, pictures(), "group0_block0_channel", "group0_block0_pixel_weights", "group0_block0_pixel"
    )
    assert weights.shape == (2, 12, 12, 1)
    squeeze, expand = (tiny.get_layer(f"group0_block0_pixel_{name}").get_weights() for name in ("squeeze", "weights"))
    hidden = np.maximum(before @ squeeze[0][0, 0] + squeeze[1], 0)
    expected = sigmoid(hidden @ expand[0][0, 0] + expand[1])
    np.testing.assert_allclose(weights, expected, rtol=1e-4)
    np.testing.assert_allclose(after, before * expected, rtol=1e-4, atol=1e-6)


def test_a_block_adds_its_input_after_the_first_convolution_and_at_the_end(keras, tiny):
    given, first, local, attended, end = inside(
        keras,
        tiny,
        pictures(),
        "stem",
        "group0_block0_conv0",
        "group0_block0_local",
        "group0_block0_pixel",
        "group0_block0_add",
    )
    assert first.min() == 0  # ReLU
    np.testing.assert_allclose(local, first + given, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(end, attended + given, rtol=1e-5, atol=1e-6)


def test_groups_are_residual_chained_and_fused_by_attention_over_both(keras, tiny):
    stem, conv0, first, conv1, second, fused = inside(
        keras, tiny, pictures(), "stem", "group0_conv", "group0_add", "group1_conv", "group1_add", "fusion"
    )
    np.testing.assert_allclose(first, conv0 + stem, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, conv1 + first, rtol=1e-5, atol=1e-5)
    squeeze = tiny.get_layer("fusion_squeeze").get_weights()
    assert squeeze[0].shape == (1, 1, 32, 1)
    means = np.concatenate([first, second], axis=3).mean(axis=(1, 2))
    hidden = np.maximum(means @ squeeze[0][0, 0] + squeeze[1], 0)
    expected = 0
    for index, output in enumerate((first, second)):
        kernel, bias = tiny.get_layer(f"fusion_weights{index}").get_weights()
        expected = expected + output * sigmoid(hidden @ kernel[0, 0] + bias)[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(fused, expected, rtol=1e-3, atol=1e-4)


def test_the_answer_is_the_input_plus_a_correction(keras, tiny):
    given = pictures()
    correction, clear = inside(keras, tiny, given, "correction", "clear")
    np.testing.assert_allclose(clear, given + correction, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tiny(given), clear)


def test_an_untrained_network_returns_its_input(build):
    given = pictures(side=9)
    np.testing.assert_array_equal(build(groups=1, blocks=1, filters=8, channels=1)(given), given)


@pytest.mark.parametrize("side", [7, 48, 64])
def test_any_size_will_do(tiny, side):
    assert tiny(pictures(side=side)).shape == (2, side, side, 1)


def test_both_data_formats_have_the_same_weights(build):
    last = build(groups=2, blocks=1, filters=8, channels=3)
    first = build(groups=2, blocks=1, filters=8, channels=3, data_format="channels_first")
    assert first.input_shape == (None, 3, None, None)
    assert [weight.shape for weight in first.weights] == [weight.shape for weight in last.weights]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"groups": 0}, "groups: expected at least 1, found 0"),
        ({"blocks": 0}, "blocks: expected at least 1, found 0"),
        ({"channels": 0}, "channels: expected at least 1, found 0"),
        ({"filters": 12}, "filters: expected a positive multiple of 8, found 12"),
        ({"filters": 0}, "filters: expected a positive multiple of 8, found 0"),
    ],
)
def test_sizes_out_of_range(build, size, message):
    with pytest.raises(UsageError, match=message):
        build(**size)
