"""ImageNet weights: the same features as keras.applications, and errors that change nothing."""

from __future__ import annotations

import shutil
import sys
import types

import numpy as np
import pytest

from fer_edge.errors import InputError, UsageError
from fer_edge_train import zoo

pytestmark = pytest.mark.host

MOBILENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"


@pytest.fixture
def mobilenet_file(data_folder):
    path = data_folder / "weights" / MOBILENET_FILE
    if not path.is_file():
        pytest.skip(f"FER_EDGE_DATA has no weights/{MOBILENET_FILE}")
    return path


@pytest.fixture(scope="module")
def mobilenet(keras):
    return zoo.build("mobilenet_v2", (32, 32, 3), 7)


def random_photos(n, side_px, channels):
    """Return uint8 (n, side, side, channels)."""
    return np.random.default_rng(5).integers(0, 256, (n, side_px, side_px, channels), dtype=np.uint8)


def coded(photos):
    return (photos.astype(np.float32) - 128.0) / 128.0


def features(keras, model, layer_name, pixels):
    until = keras.Model(model.input, model.get_layer(layer_name).output)
    return keras.ops.convert_to_numpy(until(pixels))


@pytest.mark.data
@pytest.mark.parametrize("channels", [1, 3])
def test_mobilenet_from_a_file_gives_kerass_features(keras, mobilenet_file, channels):
    model = zoo.build("mobilenet_v2", (96, 96, channels), 7)
    head = model.get_layer("hidden").get_weights()
    zoo.load_pretrained("mobilenet_v2", model, mobilenet_file)

    reference = keras.applications.MobileNetV2(include_top=False, weights=str(mobilenet_file), input_shape=(96, 96, 3))
    photos = random_photos(2, 96, channels)
    photos_rgb = np.broadcast_to(photos, (2, 96, 96, 3))
    expected = keras.ops.convert_to_numpy(reference(coded(photos_rgb)))
    found = features(keras, model, "out_relu", coded(photos[..., ::-1]))  # B, G, R, as the runtime gives them
    assert expected.max() > 1.0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for before, after in zip(head, model.get_layer("hidden").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_efficientnet_from_a_file_normalizes_as_imagenets_weights_want(keras, tmp_path):
    keras.utils.set_random_seed(4)
    reference = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    (normalization,) = (layer for layer in reference.layers if type(layer).__name__ == "Normalization")
    identity = normalization.get_weights()
    # What Keras' file holds in that layer, and what our network must not apply a second time.
    normalization.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), identity[2]])
    reference.save(tmp_path / "body.h5")
    normalization.set_weights(identity)
    normalization.finalize_state()
    model = zoo.build("efficientnet_b0", (32, 32, 3), 7)
    zoo.load_pretrained("efficientnet_b0", model, tmp_path / "body.h5")

    photos = random_photos(2, 32, 3)
    # torchvision's and Keras' common statement of what ImageNet networks get, from the plain pixels.
    normalized = (photos / 255.0 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(
        features(keras, model, "imagenet_pixels", coded(photos[..., ::-1]))[..., ::-1] / 255.0,
        normalized,
        rtol=1e-5,
        atol=1e-5,
    )
    # The reference divides by 255 itself.
    expected = keras.ops.convert_to_numpy(reference((normalized * 255.0).astype(np.float32)))
    assert np.ptp(expected) > 0.0
    np.testing.assert_allclose(
        features(keras, model, "top_activation", coded(photos[..., ::-1])),
        expected,
        rtol=1e-3,
        atol=1e-3 * np.ptp(expected),
    )


@pytest.mark.parametrize(
    "kind", ["text", "empty", "another network", "checkpoint", "unknown suffix", "not h5 inside", "folder"]
)
def test_a_wrong_file_names_itself_and_changes_nothing(keras, mobilenet, tmp_path, kind):
    path = tmp_path / {"unknown suffix": "weights.bin", "checkpoint": "file.weights.h5"}.get(kind, "file.h5")
    if kind == "another network":
        zoo.build("mini_xception", (48, 48, 1), 7).save(path)
    elif kind == "checkpoint":
        mobilenet.save_weights(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "not h5 inside": b"\x89HDF\r\n\x1a\n" + bytes(100)}.get(kind, b"no weights\n"))
    before = mobilenet.get_weights()
    with pytest.raises(InputError) as caught:
        zoo.load_pretrained("mobilenet_v2", mobilenet, path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "no-top .h5 file" in message
    assert "\n" not in message
    for old, new in zip(before, mobilenet.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.data
def test_the_weights_of_mobilenet_are_not_efficientnets(keras, mobilenet_file, tmp_path):
    model = zoo.build("efficientnet_b0", (32, 32, 3), 7)
    with pytest.raises(InputError, match="not the weights of efficientnet_b0 without its top"):
        zoo.load_pretrained("efficientnet_b0", model, mobilenet_file)


@pytest.mark.data
def test_a_file_cut_short(keras, mobilenet, mobilenet_file, tmp_path):
    cut = tmp_path / "cut.h5"
    shutil.copyfile(mobilenet_file, cut)
    with cut.open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(InputError, match="not the weights of mobilenet_v2"):
        zoo.load_pretrained("mobilenet_v2", mobilenet, cut)


def test_a_missing_file(mobilenet, tmp_path):
    path = tmp_path / "gone.h5"
    with pytest.raises(InputError) as caught:
        zoo.load_pretrained("mobilenet_v2", mobilenet, path)
    assert str(caught.value) == f"{path}: no such file; expected 'imagenet' or the path of Keras' no-top .h5 file"


@pytest.mark.parametrize("name", ["mini_xception", "resnet_small", "vgg"])
def test_a_network_without_imagenet_weights_refuses(keras, name):
    with pytest.raises(UsageError) as caught:
        zoo.load_pretrained(name, None, "imagenet")
    assert str(caught.value) == f"{name} has no ImageNet weights; it is trained from random ones"


@pytest.fixture
def tiny_pretrained(keras, monkeypatch):
    """A network whose body is one convolution, and the calls that fetch the body; `fail` makes the next one fail."""
    calls = types.SimpleNamespace(arguments=[], fail=None)

    def body(include_top, weights, input_shape, input_tensor=None):
        calls.arguments.append((include_top, weights, input_shape))
        print("Downloading data from far away")
        if calls.fail is not None and weights == "imagenet":
            raise calls.fail
        pixels = keras.Input(input_shape) if input_tensor is None else input_tensor
        start = "ones" if weights == "imagenet" else "zeros"
        return keras.Model(pixels, keras.layers.Conv2D(2, 3, kernel_initializer=start, name="body_conv")(pixels))

    def build(input_shape_hwc, n_classes):
        pixels = keras.Input(input_shape_hwc)
        x = body(False, None, None, pixels).output
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(pixels, keras.layers.Dense(n_classes, kernel_initializer="zeros", name="logits")(x))

    module = types.ModuleType("tiny_pretrained_of_the_tests")
    module.ARCHITECTURE = zoo.Architecture(title="tiny", builder=build, input_shape_hwc=(8, 8, 3), imagenet_body=body)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(zoo.ARCHITECTURES, "tiny", f"{module.__name__}:ARCHITECTURE")
    return calls


def test_imagenet_weights_are_fetched_when_asked_for_and_stdout_stays_clean(tiny_pretrained, capsys):
    model = zoo.build("tiny", (8, 8, 3), 7)
    capsys.readouterr()
    assert "imagenet" not in [weights for _, weights, _ in tiny_pretrained.arguments]
    zoo.load_pretrained("tiny", model, "imagenet")
    assert tiny_pretrained.arguments[-1] == (False, "imagenet", (224, 224, 3))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "far away" in captured.err
    np.testing.assert_array_equal(model.get_layer("body_conv").get_weights()[0], np.ones((3, 3, 3, 2)))
    np.testing.assert_array_equal(model.get_layer("logits").get_weights()[0], np.zeros((2, 7)))


@pytest.mark.parametrize("kind", [Exception, OSError, ValueError])
def test_weights_that_cannot_be_fetched(tiny_pretrained, kind):
    tiny_pretrained.fail = kind("URL fetch failure on https://x/y.h5: None -- [Errno -2] Name not known\nmore")
    model = zoo.build("tiny", (8, 8, 3), 7)
    with pytest.raises(InputError) as caught:
        zoo.load_pretrained("tiny", model, "imagenet")
    assert str(caught.value) == (
        "the ImageNet weights of tiny cannot be fetched (URL fetch failure on https://x/y.h5: None -- [Errno -2] Name "
        "not known); give the path of Keras' no-top .h5 file instead"
    )
    assert not model.get_layer("body_conv").get_weights()[0].any()


def test_a_model_of_another_network(tiny_pretrained, mobilenet):
    with pytest.raises(UsageError) as caught:
        zoo.load_pretrained("tiny", mobilenet, "imagenet")
    assert str(caught.value) == ("expected a model that the zoo built as tiny, found mobilenet_v2 without body_conv")
