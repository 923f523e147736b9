from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_onnx

from fer_edge.engines import TensorSpec
from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.onnx import onnx_layers, onnx_observer, to_onnx_float16, to_onnx_int8
from fer_edge_convert.onnx_graph import is_exact
from fer_edge_convert.quantizers import CalibratedModel

pytestmark = pytest.mark.host

IMAGES = calibration_images(40, seed=1)


@pytest.fixture
def graph(onnx_int8):
    import onnx

    return onnx.load_model_from_string(onnx_int8.model).graph


def test_float32_answers_as_keras(onnx_float32, model):
    expected = model.predict(coded(IMAGES), verbose=0)
    (answers,) = run_onnx(onnx_float32, pixels=coded(IMAGES))
    np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_float32_has_its_batch_normalizations_folded(onnx_float32):
    import onnx

    found = onnx.load_model_from_string(onnx_float32)
    kinds = {node.op_type for node in found.graph.node}
    assert "Conv" in kinds
    assert not kinds & {"BatchNormalization", "Mul", "Sub"}
    assert [(item.domain, item.version) for item in found.opset_import if item.domain == ""] == [("", 17)]
    assert found.graph.input[0].name == "pixels"
    assert not found.graph.input[0].type.tensor_type.shape.dim[0].dim_value  # any number of images


def test_int8_takes_pixels_as_they_are_and_gives_uint8(onnx_int8):
    assert onnx_int8.input == TensorSpec(
        name="pixels", shape=(None, 48, 48, 1), dtype="uint8", scale=1 / 128, zero_point=128
    )
    (output,) = onnx_int8.outputs
    assert (output.name, output.shape, output.dtype) == ("logits", (None, 7), "uint8")
    (answers,) = run_onnx(onnx_int8.model, pixels=IMAGES[:3])
    assert (answers.dtype, answers.shape) == (np.uint8, (3, 7))


def test_activations_are_uint8_and_weights_int8(graph):
    """What ONNX Runtime computes to the same bytes on x86-64 and aarch64."""
    from onnx import numpy_helper

    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    activations, weights = [], []
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        zero_point = constants[node.input[2]]
        (weights if node.input[0] in constants else activations).append((node, zero_point))
    assert len(activations) > 10
    assert {zero_point.dtype.name for _, zero_point in activations} == {"uint8"}
    assert {zero_point.ndim for _, zero_point in activations} == {0}
    assert {constants[node.input[0]].dtype.name for node, _ in weights} == {"int8", "int32"}

    kernels = [(node, zero) for node, zero in weights if constants[node.input[0]].ndim == 4]
    assert len(kernels) == 5
    for node, zero_point in kernels:
        kernel, scale = constants[node.input[0]], constants[node.input[1]]
        assert kernel.dtype == np.int8
        assert scale.shape == (kernel.shape[0],)  # of each channel its own
        assert not zero_point.any()  # symmetric


def test_int8_answers_almost_as_float(onnx_int8, model):
    expected = model.predict(coded(IMAGES), verbose=0)
    (stored,) = run_onnx(onnx_int8.model, pixels=IMAGES)
    output = onnx_int8.outputs[0]
    answers = (stored.astype(np.float64) - output.zero_point) * output.scale
    error = np.abs(answers - expected)
    assert error.mean() < 0.02 * np.ptp(expected)
    assert error.max() < 0.1 * np.ptp(expected)
    assert (answers.argmax(1) == expected.argmax(1)).mean() >= 0.9


def test_a_batch_answers_as_its_images(onnx_int8):
    (together,) = run_onnx(onnx_int8.model, pixels=IMAGES[:8])
    alone = [run_onnx(onnx_int8.model, pixels=image[np.newaxis])[0] for image in IMAGES[:8]]
    assert together.tobytes() == np.concatenate(alone).tobytes()


@pytest.fixture
def shipped(default_bundle):
    """The graph of the default bundle's int8 classifier, whose residual modules the small model here lacks."""
    import onnx

    variants = default_bundle.manifest.stages["classifier"].variants
    (entry,) = (item.model for item in variants if (item.engine, item.precision) == ("onnx", "int8"))
    return onnx.load_model_from_string(default_bundle.read(entry)).graph


def test_weights_keep_seven_bits(shipped):
    """Pairs of uint8 x int8 products then fit the 16-bit sums of x86 processors without VNNI."""
    from onnx import numpy_helper

    weights = [
        array for array in map(numpy_helper.to_array, shipped.initializer) if array.dtype == np.int8 and array.ndim == 4
    ]
    assert len(weights) == 32
    assert max(int(np.abs(array.astype(int)).max()) for array in weights) == 64


def scale_ratios(graph) -> list[float]:
    """Of both inputs of each addition to its output."""
    from onnx import numpy_helper

    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    reader = {name: node for node in graph.node for name in node.input}
    return [
        float(constants[maker[name].input[1]]) / float(constants[reader[addition.output[0]].input[1]])
        for addition in graph.node
        if addition.op_type == "Add"
        for name in addition.input
    ]


def test_additions_are_exact_in_float32(shipped):
    """Scales of an addition's inputs are the output's times 1, 2, 4, ..., so nothing is left to rounding."""
    ratios = scale_ratios(shipped)
    assert len(ratios) == 14
    assert min(ratios) > 0.999
    assert {float(np.frexp(np.float32(ratio))[0]) for ratio in ratios} == {0.5}


@pytest.fixture(scope="module")
def residual(converters):
    """Two residual blocks with identity shortcuts and a rectifier after each addition."""
    import keras
    from keras import layers

    def convolution(**options):
        return layers.Conv2D(8, 3, padding="same", bias_initializer="random_normal", **options)

    keras.utils.set_random_seed(4)
    image = keras.Input((48, 48, 1), name="pixels")
    x = layers.ReLU()(convolution(strides=4)(image))
    for _ in range(2):
        y = convolution(activation="relu")(x)
        x = layers.ReLU()(layers.Add()([convolution()(y), x]))
    return keras.Model(image, layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))


def test_sums_that_are_rectified_stay_rectified(residual, calibration):
    """A rectifier is folded into its sum's quantization: with a lower end below zero it would be gone."""
    import onnx

    calibrated = CalibratedModel(KerasFloatModel(residual), calibration, (-1.0, 127 / 128))
    made = to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("min-max"))
    graph = onnx.load_model_from_string(made.model).graph
    assert not any(node.op_type == "Relu" for node in graph.node)
    ratios = scale_ratios(graph)
    assert len(ratios) == 4
    assert {float(np.frexp(np.float32(ratio))[0]) for ratio in ratios} == {0.5}

    expected = residual.predict(coded(IMAGES), verbose=0)
    (stored,) = run_onnx(made.model, pixels=IMAGES)
    error = np.abs(made.outputs[0].dequantize(stored) - expected)
    assert error.mean() < 0.03 * np.ptp(expected)
    assert (stored.argmax(1) == expected.argmax(1)).mean() >= 0.9


def test_every_layer_of_a_residual_network_is_computed_in_integers(residual, calibration, tmp_path):
    """A shortcut's tensor goes into a layer too, whose bias has steps of its input times its weights.

    With other steps ONNX Runtime computes the layer in float32; old ones took the bias for what it was not.
    """
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    calibrated = CalibratedModel(KerasFloatModel(residual), calibration, (-1.0, 127 / 128))
    made = to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("min-max"))
    graph = onnx.load_model_from_string(made.model).graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 5
    for node in convolutions:
        pixels, weights, bias = (constants[maker[name].input[1]] for name in node.input)
        np.testing.assert_allclose(bias, pixels * weights, rtol=1e-6)

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(made.model, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("QLinearConv") == 5
    assert "Conv" not in kinds


def test_a_bias_in_other_steps_is_no_exact_network(onnx_int8):
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(onnx_int8.model)
    maker = {name: node for node in model.graph.node for name in node.output}
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    (scale,) = (item for item in model.graph.initializer if item.name == maker[convolution.input[2]].input[1])
    scale.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(scale), scale.name))
    assert not is_exact(model.SerializeToString())


def test_no_input_of_an_addition_has_finer_steps_than_its_output(residual, calibration):
    """Half steps make sums in the middle of two, which x86-64 and aarch64 round to different sides."""
    import onnx

    calibrated = CalibratedModel(KerasFloatModel(residual), calibration, (-1.0, 127 / 128))
    ranges = calibrated.onnx_ranges("min-max")
    source = onnx.load_model_from_string(calibrated.model.onnx).graph
    sums = {node.output[0] for node in source.node if node.op_type == "Add"}
    sums |= {node.output[0] for node in source.node if node.op_type == "Relu" and node.input[0] in sums}
    wide = {name: (4 * low, 4 * high) if name in sums else (low, high) for name, (low, high) in ranges.items()}
    ratios = scale_ratios(onnx.load_model_from_string(to_onnx_int8(calibrated.model.onnx, wide).model).graph)
    assert ratios == pytest.approx([1.0] * 4, rel=1e-5)


def test_float16_stores_half_and_answers_as_the_network(onnx_float32, model):
    made = to_onnx_float16(onnx_float32)
    assert len(made) < 0.65 * len(onnx_float32)
    (answers,) = run_onnx(made, pixels=coded(IMAGES))
    expected = model.predict(coded(IMAGES), verbose=0)
    assert answers.dtype == np.float32
    assert 0 < np.abs(answers - expected).max() < 0.01 * np.ptp(expected)


def test_layers_are_named_alike_in_every_run(onnx_float32):
    assert sorted(layer.label[3:] for layer in onnx_layers(onnx_float32)) == sorted(
        ["conv 8x1x3x3", "depthwise 8x1x3x3", "conv 16x8x1x1", "conv 16x8x1x1", "conv 7x16x3x3"]
    )
    assert [layer.index for layer in onnx_layers(onnx_float32)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("position", "edges"), [(0, ("float32", "uint8")), (2, ("uint8", "uint8")), (4, ("uint8", "uint8"))]
)
def test_a_layer_in_float_keeps_its_weights(calibrated, position, edges):
    from onnx import load_model_from_string, numpy_helper

    layer = onnx_layers(calibrated.model.onnx)[position]
    made = to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("min-max"), float_layers=[layer])
    assert (made.input.dtype, made.outputs[0].dtype) == edges
    arrays = [numpy_helper.to_array(item) for item in load_model_from_string(made.model).graph.initializer]
    kernels = [array for array in arrays if array.ndim == 4]
    assert [array.shape for array in kernels if array.dtype == np.float32] == [layer.weights_shape]
    assert len(kernels) == 5
    pixels = IMAGES if made.input.dtype == "uint8" else coded(IMAGES)
    (stored,) = run_onnx(made.model, pixels=pixels)
    (expected,) = run_onnx(calibrated.model.onnx, pixels=coded(IMAGES))
    assert np.abs(made.outputs[0].dequantize(stored) - expected).mean() < 0.02 * np.ptp(expected)


def test_observed_tensors_are_those_of_the_network(calibrated, model):
    found = onnx_observer(calibrated.model.onnx)(calibrated.calibration[:3])
    assert next(iter(found)) == "pixels"
    np.testing.assert_array_equal(found["pixels"], calibrated.calibration[:3])
    np.testing.assert_allclose(found["logits"], model.predict(calibrated.calibration[:3], verbose=0), atol=1e-4)
    hidden = found[onnx_layers(calibrated.model.onnx)[0].output]
    assert hidden.shape == (3, 8, 23, 23)


def test_constants_of_additions_keep_their_meaning(converters, calibration):
    """A batch normalization after an addition adds a constant, which is stored in the steps that it was given."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(6)
    image = keras.Input((48, 48, 1), name="pixels")
    x = layers.Conv2D(8, 3, strides=4, padding="same")(image)
    x = layers.BatchNormalization()(layers.Add()([x, layers.Conv2D(8, 3, padding="same")(x)]))
    network = keras.Model(image, layers.Dense(7)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    rng = np.random.default_rng(7)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights(
                [rng.uniform(0.5, 1.5, 8), rng.normal(0, 1, 8), rng.normal(0, 1, 8), rng.uniform(0.5, 2, 8)]
            )
    calibrated = CalibratedModel(KerasFloatModel(network), calibration, (-1.0, 127 / 128))
    made = to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("min-max"))
    expected = network.predict(coded(IMAGES), verbose=0)
    (stored,) = run_onnx(made.model, pixels=IMAGES)
    assert np.abs(made.outputs[0].dequantize(stored) - expected).mean() < 0.02 * np.ptp(expected)
    assert not is_exact(made.model)


def test_only_what_was_compared_between_machines_is_called_exact(
    onnx_int8, onnx_float32, residual, calibration, default_bundle
):
    variants = default_bundle.manifest.stages["classifier"].variants
    (entry,) = (item.model for item in variants if (item.engine, item.precision) == ("onnx", "int8"))
    assert is_exact(default_bundle.read(entry))
    assert is_exact(onnx_int8.model)
    assert not is_exact(onnx_float32)
    calibrated = CalibratedModel(KerasFloatModel(residual), calibration, (-1.0, 127 / 128))
    # A dense layer without a bias is a MatMul.
    assert not is_exact(to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("mse")).model)


def test_what_cannot_be_converted_leaves_no_file_behind(converters, monkeypatch, tmp_path):
    """tf2onnx has nothing for the exact GELU's Erfc; ONNX Runtime saves what it cannot infer where it is."""
    import keras
    from keras import layers

    from fer_edge_convert.onnx import to_onnx_float32

    monkeypatch.chdir(tmp_path)
    pixels = keras.Input((16, 16, 1), name="pixels")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="gelu")(pixels))
    with pytest.raises(Exception, match="Incomplete symbolic shape inference"):
        to_onnx_float32(keras.Model(pixels, layers.Dense(7)(x)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_process_gives_the_same_bytes(tmp_path, model):
    """tf2onnx iterates over sets of names, whose order is another in each process."""
    model.save(tmp_path / "model.keras")
    program = (
        "import hashlib, sys, keras\n"
        "from fer_edge_convert.float_model import KerasFloatModel\n"
        "made = KerasFloatModel(keras.saving.load_model(sys.argv[1], compile=False))\n"
        "print('digests', *(hashlib.sha256(data).hexdigest() for data in (made.onnx, made.litert)))\n"
    )
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "model.keras")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(next(line for line in done.stdout.splitlines() if line.startswith("digests")))
    assert len(digests) == 1
