"""The networks against what their papers say of their layers."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train import zoo

pytestmark = pytest.mark.host


def layers_of(model, *kinds):
    return [layer for layer in model.layers if type(layer).__name__ in kinds]


def test_inception_light_has_the_maps_of_table_1(keras):
    model = zoo.build("inception_light", (48, 48, 1), 7)
    table = [
        ("stem0_relu", (48, 48, 32)),
        ("stem1_relu", (48, 48, 64)),
        ("stem_pool", (24, 24, 64)),
        ("group0_module2_concat", (12, 12, 256)),
        ("group1_module4_concat", (6, 6, 512)),
        ("pool", (3, 3, 512)),
        ("flatten", (4608,)),
        ("hidden0", (1024,)),
        ("hidden1", (256,)),
        ("logits", (7,)),
    ]
    assert [(name, model.get_layer(name).output.shape[1:]) for name, _ in table] == table
    assert len(layers_of(model, "Concatenate")) == 3 + 5
    assert [layer.rate for layer in layers_of(model, "Dropout")] == [0.25, 0.25, 0.25]
    # The asymmetric modules work on 12 x 12, the last one leaves 6 x 6; n = 3.
    group1 = [layer for layer in layers_of(model, "Conv2D") if layer.name.startswith("group1")]
    assert {layer.kernel_size for layer in group1} == {(1, 1), (1, 3), (3, 1)}
    assert model.get_layer("group1_module3_concat").output.shape[1:3] == (12, 12)
    group0 = [layer for layer in layers_of(model, "Conv2D") if layer.name.startswith("group0")]
    assert {layer.kernel_size for layer in group0} == {(1, 1), (3, 3)}
    # Batch normalization with each convolution.
    assert len(layers_of(model, "BatchNormalization")) == len(layers_of(model, "Conv2D"))


@pytest.mark.parametrize(
    ("name", "n_convolutions", "n_poolings", "n_dense"),
    [("vgg", 10, 4, 3), ("densenet_small", 36, 4, 1), ("plain_cnn", 9, 5, 0), ("mini_xception", 15, 5, 0)],
)
def test_as_many_layers_as_published(keras, name, n_convolutions, n_poolings, n_dense):
    model = zoo.build(name, (48, 48, 1), 7)
    assert len(layers_of(model, "Conv2D", "SeparableConv2D")) == n_convolutions
    assert len(layers_of(model, "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D")) == n_poolings
    assert len(layers_of(model, "Dense")) == n_dense


def test_resnet50_is_the_published_network_for_the_published_input(keras):
    model = zoo.build("resnet50", (32, 32, 3), 1000)
    assert model.count_params() == 25_636_712
    shortcuts = [layer for layer in layers_of(model, "Conv2D") if layer.name.endswith("_0_conv")]
    assert len(layers_of(model, "Conv2D")) - len(shortcuts) == 49
    assert len(shortcuts) == 4
    assert len(layers_of(model, "MaxPooling2D", "GlobalAveragePooling2D")) == 2
    assert len(layers_of(model, "Dense")) == 1


def test_the_head_of_efficientnet_and_its_7_extra_weights(keras):
    model = zoo.build("efficientnet_b0", (32, 32, 3), 7)
    heads = [
        (layer.units, layer.activation.__name__, int(np.sum([np.prod(w.shape) for w in layer.weights])))
        for layer in layers_of(model, "Dense")
    ]
    assert heads == [(64, "sigmoid", 81_984), (32, "sigmoid", 2_080), (7, "linear", 231)]
    (normalization,) = layers_of(model, "Normalization")
    assert sorted(int(np.prod(weight.shape)) for weight in normalization.weights) == [1, 3, 3]
    assert model.count_params() - 7 == 4_133_859


def test_the_head_of_mobilenet(keras):
    model = zoo.build("mobilenet_v2", (32, 32, 3), 7)
    heads = [(layer.units, layer.activation.__name__, layer.count_params()) for layer in layers_of(model, "Dense")]
    assert heads == [(32, "sigmoid", 40_992), (7, "linear", 231)]


@pytest.mark.parametrize("name", ["densenet_small", "mobilenet_v2"])
def test_a_gray_picture_is_the_colour_picture_of_three_equal_channels(keras, name):
    keras.utils.set_random_seed(2)
    gray, colour = (zoo.build(name, (32, 32, channels), 7) for channels in (1, 3))
    assert gray.count_params() == colour.count_params()
    colour.set_weights(gray.get_weights())
    pixels = np.random.default_rng(2).uniform(-1.0, 1.0, (3, 32, 32, 1)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(colour(np.repeat(pixels, 3, axis=-1)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(gray(pixels)), expected, rtol=1e-5, atol=1e-6)


def test_normalizations_of_mobilenet_v2_follow_a_short_fine_tuning(keras):
    model = zoo.build("mobilenet_v2", (32, 32, 3), 7)
    momenta = [layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(momenta) == 52
    assert set(momenta) == {0.99}  # Keras builds the body with 0.999
