from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.zoo import ARCHITECTURES

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.host


def answers(model, seed: int = 1, n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return what the translation and Keras answer on random pixels."""
    from fer_edge_train.torch_backend import TorchNetwork

    images = np.random.default_rng(seed).uniform(-1, 1, (n, *model.input_shape[1:])).astype(np.float32)
    network = TorchNetwork(model).eval()
    with torch.no_grad():
        ours = network(TorchNetwork.images(images)).numpy()
    return ours, np.asarray(model.predict_on_batch(images))


def stir(model, seed: int = 0) -> None:
    """Give each weight a value of its own, moving moments too; kernels by a factor, or deep networks overflow."""
    rng = np.random.default_rng(seed)

    def stirred(weight: np.ndarray) -> np.ndarray:
        change = 0.1 * rng.random(weight.shape).astype(np.float32)
        return weight * (1 + change) if weight.ndim > 1 else weight + change

    model.set_weights([stirred(weight) for weight in model.get_weights()])


SMALL_SIDES_PX = {"mobilenet_v2": 32, "efficientnet_b0": 32, "vgg": 32, "resnet50": 32, "inception_light": 32}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_of_the_zoo_answers_as_in_keras_and_copies_back(keras, name):
    from fer_edge_train import zoo
    from fer_edge_train.torch_backend import TorchNetwork

    height, width, channels = zoo.default_input_shape(name)
    shape = (SMALL_SIDES_PX.get(name, height), SMALL_SIDES_PX.get(name, width), channels)
    model = zoo.build(name, shape, 7)
    stir(model)
    ours, theirs = answers(model)
    assert np.ptp(theirs) > 0.01
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())

    other = zoo.build(name, shape, 7)
    TorchNetwork(model).copy_to(other)
    for mine, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_models_inside_a_model_are_unfolded(keras):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(3, 3), layers.ReLU()], name="inner")
    left = keras.Input((6, 6, 4))
    body = keras.Model(left, layers.Add()([inner(left), layers.Conv2D(3, 3)(left)]), name="body")
    pixels = keras.Input((8, 8, 1))
    x = body(layers.Conv2D(4, 3)(pixels))
    model = keras.Model(pixels, layers.Dense(2)(layers.Flatten()(x)))
    ours, theirs = answers(model)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_kernels_and_vectors_are_all_that_trains(keras):
    from fer_edge_train import zoo
    from fer_edge_train.torch_backend import TorchNetwork

    network = TorchNetwork(zoo.build("mini_xception", (48, 48, 1), 7))
    n_kernels, n_vectors = (sum(p.numel() for p in part()) for part in (network.kernels, network.vectors))
    assert n_kernels + n_vectors == 56_951  # the paper's trainable weights
    assert n_vectors == 2 * (8 + 8 + 3 * (16 + 32 + 64 + 128)) + 7


def test_images_are_not_copied():
    from fer_edge_train.torch_backend import TorchNetwork

    images = np.zeros((2, 4, 5, 3), np.float32)
    tensor = TorchNetwork.images(images)
    assert tensor.shape == (2, 3, 4, 5)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    images[1, 2, 3, 0] = 7.0
    assert tensor[1, 0, 2, 3] == 7.0


def twice(keras):
    pixels = keras.Input((8, 8, 1))
    layer = keras.layers.Conv2D(1, 3, padding="same")
    return keras.Model(pixels, layer(layer(pixels)))


def unknown(keras):
    pixels = keras.Input((8, 8, 1))
    return keras.Model(pixels, keras.layers.UpSampling2D(name="grow")(pixels))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (twice, r"layer \S+: expected one use, found 2"),
        (unknown, "layer grow: UpSampling2D has no equivalent on torch here"),
    ],
)
def test_what_cannot_be_translated_is_refused(keras, make, message):
    from fer_edge_train.torch_backend import TorchNetwork, UntranslatableError

    with pytest.raises(UntranslatableError, match=rf"^{message}$"):
        TorchNetwork(make(keras))
