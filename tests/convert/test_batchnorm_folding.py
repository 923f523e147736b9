from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import InputError

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def fold(converters):
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations

    return fold_batch_normalizations


def randomized(model, seed=0):
    """Give batch normalizations statistics, gains and offsets that do something."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            if weight.name in ("gamma", "moving_variance"):
                value = rng.uniform(0.5, 1.5, value.shape)
            elif weight.name in ("beta", "moving_mean", "bias"):
                value = rng.normal(0, 0.2, value.shape)
            values.append(value)
        layer.set_weights(values)
    return model


def network(x, out, name="network"):
    import keras

    return keras.Model(x, keras.layers.GlobalAveragePooling2D(name="answer")(out), name=name)


def kinds(model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def check_same_answers(found, expected, shape):
    images = np.random.default_rng(1).uniform(-1, 1, (6, *shape)).astype(np.float32)
    answers = np.asarray(expected(images, training=False))
    np.testing.assert_allclose(found(images, training=False), answers, atol=1e-5 * max(np.abs(answers).max(), 1))


@pytest.mark.parametrize(
    ("name", "shape", "n_left"),
    [
        ("mini_xception", (48, 48, 1), 0),
        ("resnet_small", (48, 48, 1), 0),
        ("mobilenet_v2", (48, 48, 1), 0),
        # Most of its batch normalizations come before the convolutions.
        pytest.param("densenet_small", (48, 48, 1), None, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", (48, 48, 3), 0, marks=pytest.mark.slow),
    ],
)
def test_networks_of_the_zoo_answer_as_before(fold, name, shape, n_left):
    from fer_edge_train.zoo import build

    model = randomized(build(name, shape, 7))
    before = [weights.copy() for weights in model.get_weights()]
    folded = fold(model)
    check_same_answers(folded, model, shape)
    if n_left is not None:
        assert kinds(folded).count("BatchNormalization") == n_left
    assert "SeparableConv2D" not in kinds(folded)
    assert "Dropout" not in kinds(folded)
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(now, kept)


def test_what_is_folded_by_hand(fold):
    """W gamma / sqrt(v + e) and beta + (b - m) gamma / sqrt(v + e), with numbers that can be checked in the head."""
    import keras

    x = keras.Input((4, 4, 1))
    y = keras.layers.Conv2D(2, 1, name="conv")(x)
    model = network(x, keras.layers.BatchNormalization(epsilon=0.25, name="bn")(y))
    model.get_layer("conv").set_weights([np.array([[[[2.0, 3.0]]]]), np.array([1.0, 0.0])])
    gamma, beta, mean, variance = [4.0, 1.0], [0.5, -1.0], [3.0, 0.5], [3.75, 0.0]
    model.get_layer("bn").set_weights([np.array(values) for values in (gamma, beta, mean, variance)])
    kernel, bias = fold(model).get_layer("conv").get_weights()
    np.testing.assert_allclose(kernel.ravel(), [4.0, 6.0])
    np.testing.assert_allclose(bias, [-3.5, -2.0])


def activations_inside(x):
    from keras import layers

    y = layers.Conv2D(4, 3, activation="relu", name="a")(x)
    y = layers.SeparableConv2D(4, 3, activation="sigmoid", depth_multiplier=2, name="b")(y)
    return layers.Conv2D(3, 1, activation="linear", name="c")(layers.BatchNormalization(name="bn")(y))


def two_readers(x):
    from keras import layers

    y = layers.Conv2D(4, 3, name="a")(x)
    return layers.Add()([y, layers.BatchNormalization(name="bn")(y)])


def plain_operations(x):
    import keras

    y = keras.layers.DepthwiseConv2D(3, depth_multiplier=4, use_bias=False, name="a")(x)
    y = keras.layers.BatchNormalization(scale=False, center=False, name="bn")(y)
    return keras.ops.relu(y) * 2.0 + 0.5


def nested(x):
    import keras
    from keras import layers

    inner = keras.Sequential(
        [layers.Conv2D(4, 3, use_bias=False, name="a"), layers.BatchNormalization(name="bn"), layers.ReLU()],
        name="inner",
    )
    y = inner(x)
    again = keras.Input((None, None, 4))
    second = keras.Model(again, layers.Conv2D(2, 1, name="a")(again), name="second")
    return second(y)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(
            activations_inside,
            ["Conv2D", "ReLU", "DepthwiseConv2D", "Conv2D", "Activation", "BatchNormalization", "Conv2D"],
            id="activations inside layers",
        ),
        pytest.param(two_readers, ["Conv2D", "BatchNormalization", "Add"], id="something else reads the convolution"),
        pytest.param(plain_operations, ["DepthwiseConv2D"], id="operations that are no layers"),
        pytest.param(nested, ["Conv2D", "ReLU", "Conv2D"], id="networks in the network"),
    ],
)
def test_other_networks(fold, make, expected):
    import keras

    keras.utils.set_random_seed(3)
    x = keras.Input((9, 9, 2), name="pixels")
    model = randomized(network(x, make(x)))
    folded = fold(model)
    assert [kind for kind in kinds(folded) if kind != "InputLayer"] == [*expected, "GlobalAveragePooling2D"]
    check_same_answers(folded, model, (9, 9, 2))


def test_statistics_of_lone_batch_normalizations_are_frozen(fold):
    import keras

    x = keras.Input((9, 9, 2), name="pixels")
    folded = fold(network(x, two_readers(x)))
    lone = folded.get_layer("bn")
    before = [values.copy() for values in lone.get_weights()]
    folded(np.full((3, 9, 9, 2), 7.0, np.float32), training=True)
    for kept, now in zip(before, lone.get_weights(), strict=True):
        np.testing.assert_array_equal(now, kept)


def transposed(x):
    from keras import layers

    return layers.Conv2DTranspose(2, 3, name="up")(x)


def twice(x):
    from keras import layers

    conv = layers.Conv2D(2, 3, padding="same", name="both")
    return conv(conv(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (transposed, "layer up is a Conv2DTranspose; fine-tuning simulates Conv2D, DepthwiseConv2D, "),
        (twice, "layer both is used more than once; fine-tuning cannot simulate that"),
    ],
)
def test_what_cannot_be_simulated_is_named(fold, make, message):
    import keras

    x = keras.Input((9, 9, 2), name="pixels")
    with pytest.raises(InputError, match=f"^{message}"):
        fold(network(x, make(x)))


def test_what_works_in_training_alone_is_left_out(fold):
    import keras
    from keras import layers

    pixels = keras.Input((8, 8, 1))
    x = layers.GaussianNoise(0.5)(pixels)
    x = layers.SpatialDropout2D(0.5)(layers.Conv2D(4, 3)(x))
    x = layers.ActivityRegularization(l2=0.1)(layers.AlphaDropout(0.5)(layers.GaussianDropout(0.5)(x)))
    model = network(pixels, layers.Dropout(0.5)(x))
    found = fold(model)
    assert kinds(found) == ["InputLayer", "Conv2D", "GlobalAveragePooling2D"]
    check_same_answers(found, model, (8, 8, 1))


def test_pictures_changed_at_random_are_refused(fold):
    import keras
    from keras import layers

    pixels = keras.Input((8, 8, 1))
    model = network(pixels, layers.Conv2D(4, 3)(layers.RandomFlip(name="flip")(pixels)))
    with pytest.raises(InputError, match="layer flip is a RandomFlip, which changes pictures"):
        fold(model)
