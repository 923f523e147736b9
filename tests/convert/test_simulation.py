"""The simulated network against what the engines compute from the quantized files."""

from __future__ import annotations

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_litert, run_onnx, small_model

pytestmark = pytest.mark.host

IMAGES = calibration_images(40, seed=21)


@pytest.fixture(scope="module")
def module(converters):
    from fer_edge_convert.fine_tuning import simulation

    return simulation


def convolution(x):
    from keras import layers

    return layers.ReLU(name="relu")(layers.Conv2D(5, 3, strides=2, padding="same", name="layer")(x))


def depthwise(x):
    from keras import layers

    return layers.DepthwiseConv2D(3, depth_multiplier=3, name="layer")(x)


def dense(x):
    from keras import layers

    return layers.Dense(6, name="layer")(layers.Flatten(name="flat")(x))


def pooled(x):
    from keras import layers

    return dense(layers.MaxPooling2D(4, name="pool")(x))


def one_layer(make):
    """A network of one layer with weights, biases and channels of unlike size."""
    import keras

    rng = np.random.default_rng(7)
    pixels = keras.Input((48, 48, 1), name="pixels")
    model = keras.Model(pixels, make(pixels))
    layer = model.get_layer("layer")
    kernel, bias = layer.get_weights()
    factors = 10.0 ** rng.uniform(-1, 0.5, kernel.shape[2:] if make is depthwise else kernel.shape[-1])
    layer.set_weights([rng.normal(size=kernel.shape) * factors / np.sqrt(kernel.size), rng.normal(0, 0.3, bias.shape)])
    return model


def ranges_of(module, model):
    """Return what min-max finds, and the observed layer's own."""
    from fer_edge_convert.ranges import observe, ranges

    return ranges(observe(module.tensor_observer(model), lambda: [coded(IMAGES)]), "min-max")


@pytest.mark.parametrize("make", [convolution, depthwise, dense, pooled])
def test_one_layer_is_what_litert_computes_within_a_step(module, make):
    from fer_edge_convert.float_model import KerasFloatModel
    from fer_edge_convert.litert import quantize_litert
    from fer_edge_convert.quantizers import CalibratedModel

    model = one_layer(make)
    calibrated = CalibratedModel(KerasFloatModel(model), coded(IMAGES), (-1.0, 127 / 128))
    file = quantize_litert(calibrated.model.litert, "int8", activation_ranges=calibrated.litert_ranges("min-max"))
    found = ranges_of(module, model)
    (low, high) = found[module.rounded_tensors(model)[-1]]
    scale = (high - low) / 255

    stored = run_litert(file, (IMAGES.astype(int) - 128).astype(np.int8)).astype(float)
    simulated = module.simulated_network(model, found, 127).predict(coded(IMAGES), verbose=0) / scale
    simulated += round(-low / scale) - 128
    assert np.abs(simulated - stored).max() <= 1.01
    assert (np.abs(simulated - stored) < 0.01).mean() > 0.99
    # Without rounding, few answers would lie on a step at all.
    exact = model.predict(coded(IMAGES), verbose=0)
    assert (np.abs(exact / scale - np.rint(exact / scale)) < 0.01)[exact > 0].mean() < 0.1


@pytest.mark.parametrize("make", [convolution, depthwise, dense])
def test_one_layer_is_what_onnx_runtime_computes_within_a_step(module, make):
    """With weights of seven bits."""
    from fer_edge_convert.float_model import KerasFloatModel
    from fer_edge_convert.onnx import to_onnx_int8
    from fer_edge_convert.quantizers import CalibratedModel

    model = one_layer(make)
    calibrated = CalibratedModel(KerasFloatModel(model), coded(IMAGES), (-1.0, 127 / 128))
    made = to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("min-max"))
    found = ranges_of(module, model)
    (output,) = made.outputs

    (stored,) = run_onnx(made.model, pixels=IMAGES)
    for n_weight_steps, least, most in ((64, 0.99, 1.0), (127, 0.0, 0.99)):
        simulated = module.simulated_network(model, found, n_weight_steps).predict(coded(IMAGES), verbose=0)
        steps = np.abs(simulated / output.scale + output.zero_point - stored)
        if n_weight_steps == 64:
            assert steps.max() <= 1.01
        assert least <= (steps < 0.01).mean() <= most


def test_a_whole_network_is_near_what_litert_computes(module):
    """Its error against the float network is that of the int8 file, in most of its size and direction."""
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations
    from fer_edge_convert.float_model import KerasFloatModel
    from fer_edge_convert.litert import quantize_litert
    from fer_edge_convert.quantizers import CalibratedModel

    model = small_model()
    calibrated = CalibratedModel(KerasFloatModel(model), coded(IMAGES), (-1.0, 127 / 128))
    file = quantize_litert(calibrated.model.litert, "int8", activation_ranges=calibrated.litert_ranges("min-max"))
    folded = fold_batch_normalizations(model)
    found = ranges_of(module, folded)
    exact = model.predict(coded(IMAGES), verbose=0)
    low, high = found["logits"]
    scale = (high - low) / 255
    stored = run_litert(file, (IMAGES.astype(int) - 128).astype(np.int8)).astype(float)
    stored = (stored + 128 - round(-low / scale)) * scale
    simulated = module.simulated_network(folded, found, 127).predict(coded(IMAGES), verbose=0)
    assert np.abs(simulated - stored).max() <= 3 * scale
    error, simulated_error = (stored - exact).ravel(), (simulated - exact).ravel()
    assert np.corrcoef(error, simulated_error)[0, 1] > 0.7


def test_which_tensors_are_rounded(module):
    """A rectifier goes with what is before it; pooling by maximum moves what is rounded already."""
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations

    names = module.rounded_tensors(fold_batch_normalizations(small_model()))
    assert sorted(name for name in names if not name.startswith("re_lu")) == sorted(
        ["shortcut", "separable_depthwise", "separable_pointwise", "class_maps", "logits"]
    )
    assert len(names) == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mini_xception", "resnet_small", "mobilenet_v2"])
def test_networks_of_the_zoo_can_be_simulated(module, name):
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations
    from fer_edge_train.zoo import build

    folded = fold_batch_normalizations(build(name, (48, 48, 1), 7))
    found = ranges_of(module, folded)
    simulated = module.simulated_network(folded, found, 127)
    assert len(simulated.trainable_weights) == len(folded.trainable_weights)
    # Called, not predicted with: tracing these takes longer than their operations one by one.
    answers = [np.asarray(network(coded(IMAGES), training=False)) for network in (folded, simulated)]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.5 * np.ptp(answers[0])


def test_ranges_can_be_changed(module):
    """As if they had been the first ones."""
    model = one_layer(convolution)
    found = ranges_of(module, model)
    wider = {name: (3 * low, 3 * high) for name, (low, high) in found.items()}
    simulated = module.simulated_network(model, found, 127)
    module.set_ranges(simulated, wider)
    expected = module.simulated_network(model, wider, 127).predict(coded(IMAGES), verbose=0)
    np.testing.assert_array_equal(simulated.predict(coded(IMAGES), verbose=0), expected)
