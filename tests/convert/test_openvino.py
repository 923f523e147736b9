from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_openvino

from fer_edge_convert.onnx import onnx_layers
from fer_edge_convert.openvino import to_openvino_float16, to_openvino_int8

pytestmark = pytest.mark.host

IMAGES = calibration_images(40, seed=1)


def test_float32_answers_as_keras(openvino_files, model):
    expected = model.predict(coded(IMAGES), verbose=0)
    (answers,) = run_openvino(*openvino_files.float32, coded(IMAGES))
    np.testing.assert_allclose(answers, expected, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_shapes_of_constants_are_not_computed_on_the_device(openvino_files, precision):
    xml, _ = getattr(openvino_files, precision)
    kinds = {layer.get("type") for layer in ElementTree.fromstring(xml).iter("layer")}
    assert not kinds & {"ShapeOf", "Broadcast", "VariadicSplit", "Range"}


def test_float32_weights_are_stored_whole(openvino_files):
    kinds = {layer.get("element_type") for layer in ElementTree.fromstring(openvino_files.float32[0]).iter("data")}
    assert "f32" in kinds
    assert "f16" not in kinds


def test_int8_has_its_convolutions_quantized(openvino_files):
    xml, weights = openvino_files.int8
    root = ElementTree.fromstring(xml)
    kinds = [layer.get("type") for layer in root.iter("layer")]
    convolutions = kinds.count("Convolution") + kinds.count("GroupConvolution")
    assert convolutions == 5
    constants = [data.get("shape") for data in root.iter("data") if data.get("element_type") == "i8"]
    # Stem, shortcut, the two parts of the separable convolution, class maps.
    kernels = ["8, 1, 3, 3", "16, 8, 1, 1", "8, 1, 1, 3, 3", "16, 8, 1, 1", "7, 16, 3, 3"]
    assert sorted(constants) == sorted(kernels)
    scales = {data.get("shape") for data in root.iter("data") if data.get("element_type") == "f32"}
    assert scales >= {"8, 1, 1, 1", "16, 1, 1, 1", "8, 1, 1, 1, 1", "7, 1, 1, 1"}  # for each channel its own
    assert kinds.count("FakeQuantize") >= convolutions
    assert len(weights) < 0.6 * len(openvino_files.float32[1])


def test_int8_weights_keep_seven_bits(openvino_files):
    """Eight bits overflow the 16-bit sums of x86 processors without VNNI; a depthwise kernel is not summed in pairs."""
    xml, weights = openvino_files.int8
    constants = [data for data in ElementTree.fromstring(xml).iter("data") if data.get("element_type") == "i8"]
    full = [constant for constant in constants if len(constant.get("shape").split(",")) == 4]
    assert len(full) == 4
    for constant in full:
        start, size = int(constant.get("offset")), int(constant.get("size"))
        values = np.frombuffer(weights[start : start + size], np.int8).astype(int)
        assert 60 <= np.abs(values).max() <= 64


def test_int8_takes_and_gives_float(openvino_files):
    (answers,) = run_openvino(*openvino_files.int8, coded(IMAGES[:2]))
    assert (answers.dtype, answers.shape) == (np.float32, (2, 7))


def test_int8_answers_almost_as_float(openvino_files, model):
    expected = model.predict(coded(IMAGES), verbose=0)
    (answers,) = run_openvino(*openvino_files.int8, coded(IMAGES))
    error = np.abs(answers - expected)
    assert 0 < error.mean() < 0.02 * np.ptp(expected)
    assert error.max() < 0.1 * np.ptp(expected)
    assert (answers.argmax(1) == expected.argmax(1)).mean() >= 0.9


def test_float16_stores_half_and_answers_as_the_network(openvino_files, calibrated, model):
    made = to_openvino_float16(calibrated.model.onnx)
    assert len(made[1]) < 0.6 * len(openvino_files.float32[1])
    (answers,) = run_openvino(*made, coded(IMAGES))
    expected = model.predict(coded(IMAGES), verbose=0)
    assert answers.dtype == np.float32
    assert 0 < np.abs(answers - expected).max() < 0.01 * np.ptp(expected)


def activation_ends(xml: bytes, weights: bytes) -> list[tuple[float, float]]:
    """The ends of the activations' ranges, as the file holds them."""
    import openvino

    graph = openvino.Core().read_model(model=xml, weights=weights)
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    return [tuple(node.input(i).get_source_output().get_node().get_data().item() for i in (1, 2)) for node in nodes]


@pytest.mark.parametrize(
    ("given", "signed"),
    [
        pytest.param((-0.5, 0.75), (-0.75 * 128 / 127, 0.75), id="the upper end decides"),
        pytest.param((-1.0, 127 / 128), (-1.0, 127 / 128), id="pixels are whole steps"),
        pytest.param((-2.0, 0.75), (-2.0, 2.0 * 127 / 128), id="the lower end decides"),
    ],
)
def test_ranges_are_those_given(calibrated, given, signed):
    """A signed tensor has 128 steps below zero and 127 above it, the smallest that reach both ends."""
    ranges = dict.fromkeys(calibrated.onnx_ranges("min-max"), given)
    ends = activation_ends(*to_openvino_int8(calibrated.model.onnx, calibrated.calibration[:20], ranges))
    assert len(ends) >= 5
    expected = [pytest.approx(signed, rel=1e-6), pytest.approx((0.0, given[1]), rel=1e-6)]
    assert ends[0] == expected[0]
    assert all(pair in expected for pair in ends)
    assert expected[1] in ends


def test_a_layer_in_float_keeps_its_weights(calibrated):
    layers = onnx_layers(calibrated.model.onnx)
    xml, _ = to_openvino_int8(
        calibrated.model.onnx,
        calibrated.calibration[:20],
        calibrated.onnx_ranges("min-max"),
        float_layers=[layer for layer in layers if layer.weights_shape == (7, 16, 3, 3)],
    )
    constants = {
        (data.get("shape"), data.get("element_type"))
        for data in ElementTree.fromstring(xml).iter("data")
        if data.get("shape")
    }
    assert ("7, 16, 3, 3", "f32") in constants
    assert ("7, 16, 3, 3", "i8") not in constants
    assert ("8, 1, 3, 3", "i8") in constants


def additions(xml: bytes, weights: bytes) -> list[np.ndarray]:
    """The constants that are added in a file: the biases of its convolutions, in order."""
    import openvino

    graph = openvino.Core().read_model(model=xml, weights=weights)
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Add"]
    sources = [item.get_source_output().get_node() for node in nodes for item in node.inputs()]
    return [source.get_data() for source in sources if source.get_type_name() == "Constant"]


def test_biases_change_only_where_that_is_asked_for(openvino_files, calibrated):
    """NNCF would correct them for ranges that are replaced. What weights of seven bits add to a mean is small."""
    biases = additions(*openvino_files.float32)
    assert len(biases) == 4
    for found, expected in zip(additions(*openvino_files.int8), biases, strict=True):
        np.testing.assert_array_equal(found, expected)
    corrected = to_openvino_int8(
        calibrated.model.onnx,
        calibrated.calibration[:20],
        calibrated.onnx_ranges("min-max"),
        correction_images=calibrated.calibration[:20],
    )
    for found, expected in zip(additions(*corrected), biases, strict=True):
        assert 0 < np.abs(found - expected).max() < 0.2 * np.ptp(expected)


def test_the_calibration_goes_unreported(calibrated, capfd):
    """NNCF's progress bar and notes stay off standard output, which belongs to results."""
    to_openvino_int8(calibrated.model.onnx, calibrated.calibration[:4], calibrated.onnx_ranges("min-max"))
    assert capfd.readouterr().out == ""
