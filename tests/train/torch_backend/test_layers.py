"""Each translated layer against Keras' own, on whichever backend Keras runs here."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.host

SHAPE = (7, 10, 3)  # height, width, channels


@pytest.fixture(scope="module")
def layers(keras):
    return keras.layers


def translated(layer):
    from fer_edge_train.torch_backend.layers import TRANSLATED

    return TRANSLATED[type(layer).__name__](layer)


def torch_images(values: np.ndarray):
    tensor = torch.from_numpy(values)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def keras_order(tensor) -> np.ndarray:
    values = tensor.detach()
    return (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).numpy()


def random_weights(layer, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(0.2, 1.5, weight.shape).astype(np.float32) for weight in layer.get_weights()])


CASES = {
    "conv valid": lambda k: k.Conv2D(5, 3, use_bias=False),
    "conv same": lambda k: k.Conv2D(5, 3, padding="same"),
    "conv same, strided: one-sided border on the even side": lambda k: k.Conv2D(5, 3, strides=2, padding="same"),
    "conv 1 x 3, relu": lambda k: k.Conv2D(4, (1, 3), padding="same", activation="relu"),
    "conv 5 x 2 with steps 2 and 3": lambda k: k.Conv2D(4, (5, 2), strides=(2, 3), padding="same"),
    "conv in groups": lambda k: k.Conv2D(6, 3, groups=3),
    "depthwise": lambda k: k.DepthwiseConv2D(3, padding="same", use_bias=False),
    "depthwise with multiplier": lambda k: k.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same"),
    "separable": lambda k: k.SeparableConv2D(5, 3, padding="same", use_bias=False),
    "separable with multiplier": lambda k: k.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu"),
    "batch normalization": lambda k: k.BatchNormalization(),
    "max pooling": lambda k: k.MaxPooling2D(2),
    "max pooling, same": lambda k: k.MaxPooling2D(3, strides=2, padding="same"),
    "max pooling, same, every step": lambda k: k.MaxPooling2D(3, strides=1, padding="same"),
    "max pooling, same, even window": lambda k: k.MaxPooling2D((2, 4), strides=1, padding="same"),
    "average pooling": lambda k: k.AveragePooling2D(2),
    "average pooling, same, two-sided": lambda k: k.AveragePooling2D(3, strides=1, padding="same"),
    "average pooling, same, one-sided": lambda k: k.AveragePooling2D(2, padding="same"),
    "global average": lambda k: k.GlobalAveragePooling2D(),
    "global average, kept axes": lambda k: k.GlobalAveragePooling2D(keepdims=True),
    "relu": lambda k: k.ReLU(),
    "relu6": lambda k: k.ReLU(max_value=6.0),
    "sigmoid": lambda k: k.Activation("sigmoid"),
    "swish": lambda k: k.Activation("swish"),
    "dropout at inference": lambda k: k.Dropout(0.5),
    "flatten: Keras' order of values": lambda k: k.Flatten(),
    "zero padding": lambda k: k.ZeroPadding2D(((1, 2), (3, 0))),
    "rescaling": lambda k: k.Rescaling(127.5, offset=127.5),
    "rescaling by channel": lambda k: k.Rescaling([0.5, 2.0, 3.0], offset=[1.0, 2.0, -3.0]),
    "normalization with given moments": lambda k: k.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 4.0, 0.25]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("height", [7, 8])
def test_answers_as_keras_and_gives_its_weights_back(layers, case, height):
    shape = (height, *SHAPE[1:])
    layer = CASES[case](layers)
    layer.build((None, *shape))
    random_weights(layer)
    before = layer.get_weights()
    values = np.random.default_rng(1).normal(0, 2, (4, *shape)).astype(np.float32)
    ours = translated(layer).eval()
    expected = np.asarray(layer(values, training=False) if case != "flatten" else layer(values))
    np.testing.assert_allclose(keras_order(ours(torch_images(values))), expected, rtol=1e-4, atol=1e-4)
    returned = ours.weights()
    assert [weight.shape for weight in returned] == [weight.shape for weight in before]
    for mine, theirs in zip(returned, before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_dense(layers):
    layer = layers.Dense(4, activation="sigmoid")
    layer.build((None, 6))
    random_weights(layer)
    values = np.random.default_rng(1).normal(0, 1, (5, 6)).astype(np.float32)
    ours = translated(layer)
    np.testing.assert_allclose(keras_order(ours(torch_images(values))), np.asarray(layer(values)), atol=1e-6)
    np.testing.assert_array_equal(ours.weights()[0], layer.get_weights()[0])


@pytest.mark.parametrize("kind", ["Add", "Multiply", "Concatenate"])
def test_merging_layers(layers, kind):
    layer = getattr(layers, kind)()
    parts = [np.random.default_rng(i).normal(0, 1, (2, *SHAPE)).astype(np.float32) for i in range(3)]
    found = translated(layer)(*[torch_images(part) for part in parts])
    np.testing.assert_allclose(keras_order(found), np.asarray(layer(parts)), atol=1e-6)


@pytest.mark.parametrize(("target", "shape"), [((1, 1, 6), (2, 6)), ((6,), (2, 1, 1, 6))])
def test_reshapes_of_squeeze_and_excitation(layers, target, shape):
    layer = layers.Reshape(target)
    layer.build((None, *shape[1:]))
    values = np.arange(12, dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(keras_order(translated(layer)(torch_images(values))), np.asarray(layer(values)))


def test_training_moves_the_moments_as_keras_does(layers):
    layer = layers.BatchNormalization(momentum=0.9)
    layer.build((None, *SHAPE))
    ours = translated(layer).train()
    for seed in (1, 2):  # few values, so that a biased variance differs from an unbiased one
        values = np.random.default_rng(seed).normal(3, 2, (3, 2, 1, 3)).astype(np.float32)
        answer = keras_order(ours(torch_images(values)))
        np.testing.assert_allclose(answer, np.asarray(layer(values, training=True)), atol=1e-4)
    for mine, theirs in zip(ours.weights(), layer.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_a_frozen_normalization_keeps_its_moments(layers):
    layer = layers.BatchNormalization(trainable=False)
    layer.build((None, *SHAPE))
    random_weights(layer)
    before = layer.get_weights()
    values = np.random.default_rng(1).normal(3, 2, (8, *SHAPE)).astype(np.float32)
    ours = translated(layer).train()
    np.testing.assert_allclose(
        keras_order(ours(torch_images(values))), np.asarray(layer(values, training=True)), rtol=1e-4, atol=1e-4
    )
    for mine, theirs in zip(ours.weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [parameter.requires_grad for parameter in ours.parameters()] == [False, False]


@pytest.mark.parametrize("whole_images", [False, True], ids=["values", "whole images"])
def test_dropout_in_training_drops_its_share_and_keeps_the_mean(layers, whole_images):
    layer = layers.Dropout(0.25, noise_shape=(None, 1, 1, 1) if whole_images else None)
    torch.manual_seed(0)
    found = keras_order(translated(layer).train()(torch.ones(4000, 3, 2, 2)))
    dropped = (found == 0).all(axis=(1, 2, 3)) if whole_images else found == 0
    assert dropped.mean() == pytest.approx(0.25, abs=0.02)
    assert found.mean() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(np.unique(found), [0.0, 4 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda k: k.Conv2D(2, 3, dilation_rate=2), r"layer \S+: expected dilation_rate \(1, 1\), found \(2, 2\)"),
        (
            lambda k: k.Conv2D(2, 3, activation="gelu"),
            r"layer \S+: the activation gelu has no equivalent on torch here",
        ),
        (lambda k: k.BatchNormalization(axis=1), r"layer \S+: expected axis -1, found 1"),
        (lambda k: k.ReLU(negative_slope=0.1), r"layer \S+: expected negative_slope 0, found 0.1"),
        (lambda k: k.Concatenate(axis=1), r"layer \S+: expected axis -1, found 1"),
        (lambda k: k.Reshape((2, 3)), r"layer \S+: the target shape \(2, 3\) has no equivalent on torch here"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(layers, make, message):
    from fer_edge_train.torch_backend import UntranslatableError

    layer = make(layers)
    if type(layer).__name__ in ("Conv2D", "BatchNormalization"):
        layer.build((None, *SHAPE))
    with pytest.raises(UntranslatableError, match=rf"^{message}$"):
        translated(layer)
