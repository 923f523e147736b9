"""What holds for every network of the zoo."""

from __future__ import annotations

import json

import numpy as np
import pytest
from train.support import need_backend, run_python

from fer_edge.errors import UsageError
from fer_edge_train import zoo

pytestmark = pytest.mark.host

KNOWN = (
    "densenet_small, efficientnet_b0, inception_light, mini_xception, mobilenet_v2, plain_cnn, resnet50, "
    "resnet_factored, resnet_large, resnet_medium, resnet_small, resnet_tiny, sepnet_tiny, vgg"
)

# Where the number comes from: the papers where they publish one that can be reached (see each network's docstring for
# the others), Keras' own table of its applications minus the 1000 outputs, or the budget that the network was made for.
N_PARAMETERS = {
    "densenet_small": 95_263,
    "efficientnet_b0": 4_049_564 + 81_984 + 2_080 + 231 + 7,
    "mini_xception": 58_423,
    "mobilenet_v2": 2_257_984 + 40_992 + 231,
    "vgg": 8_756_680 - 1,
}
PARAMETER_RANGE = {
    "inception_light": (0.69 * 23_851_784, 0.71 * 23_851_784),
    "plain_cnn": (590_000, 610_000),
    "resnet50": (23_500_000, 25_636_712),
    "resnet_factored": (2_000_000, 2_500_000),
    "resnet_large": (2_500_000, 5_000_000),
    "resnet_medium": (1_513_087, 2_500_000),
    "resnet_small": (1_000_000, 2_500_000),
    "resnet_tiny": (50_000, 58_423),
    "sepnet_tiny": (50_000, 58_423),
}


@pytest.fixture(scope="module")
def built(keras):
    """Build a network with its paper's input and 7 classes, once for all tests here."""
    models = {}

    def build(name):
        if name not in models:
            keras.utils.set_random_seed(7)
            models[name] = zoo.build(name, zoo.default_input_shape(name), 7)
        return models[name]

    return build


@pytest.mark.parametrize("name", zoo.ARCHITECTURES)
def test_input_output_and_size(built, name):
    model = built(name)
    assert model.input_shape == (None, *zoo.default_input_shape(name))
    assert model.output_shape == (None, 7)
    assert model.name == name
    if name in N_PARAMETERS:
        assert model.count_params() == N_PARAMETERS[name]
    else:
        low, high = PARAMETER_RANGE[name]
        assert low < model.count_params() < high


@pytest.mark.parametrize("name", zoo.ARCHITECTURES)
def test_pixels_to_finite_logits_and_a_gradient_step(built, keras, name):
    model = built(name)
    rng = np.random.default_rng(3)
    pixels = (rng.integers(0, 256, (4, *model.input_shape[1:])).astype(np.float32) - 128.0) / 128.0
    for training in (False, True):
        logits = keras.ops.convert_to_numpy(model(pixels, training=training))
        assert logits.shape == (4, 7)
        assert np.isfinite(logits).all()
    # Of random weights: an answer that depends on the picture. In inference the deep ones' signal is still zero.
    assert np.ptp(logits, axis=0).min() > 0.0

    first, last = (model.trainable_weights[index] for index in (0, -2))
    assert first.shape[-2] in (1, 3)
    assert last.shape[-1] == 7
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in (first, last)]
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    loss = float(model.train_on_batch(pixels, np.array([0, 2, 4, 6])))
    assert 0.0 < loss < 50.0
    for weight, old in zip((first, last), before, strict=True):
        new = keras.ops.convert_to_numpy(weight)
        assert np.isfinite(new).all()
        assert (new != old).any()


@pytest.mark.parametrize(
    ("name", "input_shape_hwc", "n_classes"),
    [
        ("densenet_small", (16, 20, 3), 8),
        ("inception_light", (16, 32, 3), 8),
        ("mini_xception", (5, 5, 1), 2),
        ("mini_xception", (24, 24, 1), 7),
        ("mini_xception", (48, 48, 1), 2),
        ("mini_xception", (64, 40, 3), 8),
        ("mini_xception", (64, 64, 1), 7),
        ("plain_cnn", (24, 24, 3), 8),
        ("resnet_factored", (24, 40, 3), 8),
        ("resnet_small", (24, 40, 3), 8),
        ("resnet_medium", (24, 40, 3), 8),
        ("resnet_tiny", (24, 40, 3), 8),
        ("sepnet_tiny", (24, 40, 3), 8),
        ("vgg", (48, 48, 1), 8),
    ],
)
def test_other_shapes_and_class_counts(keras, name, input_shape_hwc, n_classes):
    model = zoo.build(name, input_shape_hwc, n_classes)
    assert model.input_shape == (None, *input_shape_hwc)
    assert model.output_shape == (None, n_classes)
    logits = keras.ops.convert_to_numpy(model(np.zeros((1, *input_shape_hwc), np.float32)))
    assert np.isfinite(logits).all()


def test_mini_xception_has_as_many_trained_parameters_as_its_paper(built):
    trained = sum(int(np.prod(weight.shape)) for weight in built("mini_xception").trainable_weights)
    assert trained == 56_951


@pytest.mark.parametrize(
    ("name", "input_shape_hwc", "message"),
    [
        ("mini_xception", (4, 48, 1), "mini_xception: expected pictures of at least 5 x 5 pixels, found 4 x 48"),
        ("vgg", (48, 15, 1), "vgg: expected pictures of at least 16 x 16 pixels, found 48 x 15"),
        ("mobilenet_v2", (24, 24, 3), "mobilenet_v2: expected pictures of at least 32 x 32 pixels, found 24 x 24"),
        ("vgg", (48, 48, 2), "vgg: expected pictures of 1 or 3 channels, found 2"),
        ("mini_xception", (48, 48, 4), "mini_xception: expected pictures of 1 or 3 channels, found 4"),
    ],
)
def test_pictures_that_a_network_cannot_take(keras, name, input_shape_hwc, message):
    with pytest.raises(UsageError) as caught:
        zoo.build(name, input_shape_hwc, 7)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mini_xeption", "no network is named 'mini_xeption'; did you mean mini_xception?"),
        ("resnet_smal", "no network is named 'resnet_smal'; did you mean resnet_small?"),
        ("MINI_XCEPTION", f"no network is named 'MINI_XCEPTION'; known: {KNOWN}"),
        ("", f"no network is named ''; known: {KNOWN}"),
    ],
)
def test_an_unknown_name_suggests_the_near_one(name, message):
    for call in (
        zoo.check_name,
        zoo.default_input_shape,
        lambda name: zoo.build(name, (48, 48, 1), 7),
        lambda name: zoo.load_pretrained(name, None, "imagenet"),
    ):
        with pytest.raises(UsageError) as caught:
            call(name)
        assert str(caught.value) == message


def test_an_architecture_whose_own_input_is_too_small():
    with pytest.raises(ValueError, match=r"expected sides of 32, found \(24, 24, 1\)"):
        zoo.Architecture(title="x", builder=lambda shape, n: None, input_shape_hwc=(24, 24, 1), min_side_px=32)


NAMES_WITHOUT_KERAS = """
import json, sys
from fer_edge_train import zoo
for name in zoo.ARCHITECTURES:
    zoo.check_name(name)
print(json.dumps(sorted({"keras", "tensorflow", "torch"} & set(sys.modules))))
"""


def test_names_are_checked_without_keras(tmp_path):
    assert json.loads(run_python(NAMES_WITHOUT_KERAS, cwd=tmp_path)) == []


TWO_STEPS = """
import json
from fer_edge_train.backend import import_keras
keras = import_keras()
import numpy as np
from fer_edge_train import zoo
keras.utils.set_random_seed(1)
model = zoo.build("mini_xception", (48, 48, 1), 7)
model.compile(optimizer=keras.optimizers.SGD(0.002), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
rng = np.random.default_rng(1)
x = (rng.integers(0, 256, (32, 48, 48, 1)).astype(np.float32) - 128.0) / 128.0
y = np.eye(7, dtype=np.float32)[np.arange(32) % 7]
before = [weight.copy() for weight in model.get_weights()]
losses = [float(model.train_on_batch(x, y)) for _ in range(2)]
changed = sum(bool((a != b).any()) for a, b in zip(before, model.get_weights()))
print(json.dumps({"backend": keras.backend.backend(), "losses": losses, "changed": changed, "weights": len(before)}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_trains_on(backend, tmp_path):
    need_backend(backend)
    found = json.loads(run_python(TWO_STEPS, backend=backend, cwd=tmp_path))
    assert found["backend"] == backend
    assert found["losses"][1] < found["losses"][0] < 3.0
    assert found["changed"] == found["weights"]


def test_a_network_of_low_rank_has_the_layers_of_the_whole_one(built):
    """Else its weights could not be taken from it."""
    for name in zoo.ARCHITECTURES:
        whole = zoo.factored_from(name)
        if whole is None:
            continue
        narrow, wide = ({layer.name for layer in built(each).layers} for each in (name, whole))
        added = {layer for layer in narrow if layer.endswith("_expand")}
        assert added
        assert narrow - added == wide
        assert built(name).count_params() < built(whole).count_params()
