from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import FerEdgeError
from fer_edge_convert.openvino import _quantized, _read
from fer_edge_convert.openvino_graph import WITH_WEIGHTS, computed_values, nodes_by_name
from fer_edge_convert.openvino_weights import round_weights

pytestmark = pytest.mark.host


def weights_of(graph) -> dict[str, np.ndarray]:
    """Weights by their layer, as real values."""
    return {
        name: computed_values(node.input(1).get_source_output())
        for name, node in nodes_by_name(graph).items()
        if node.get_type_name() in WITH_WEIGHTS
    }


@pytest.fixture(scope="module")
def graphs(calibrated):
    """The float graph, and the quantized one."""
    ranges = calibrated.onnx_ranges("mse")
    return _read(calibrated.model.onnx), _quantized(calibrated.model.onnx, calibrated.calibration, ranges, (), None)


def test_the_largest_weight_of_each_channel_is_exact_and_all_are_nearest(graphs):
    original, rounded = (weights_of(graph) for graph in graphs)
    assert len(original) == len(rounded) == 5
    for name, weights in original.items():
        depthwise = weights.ndim == 5
        rows, found = (values.reshape(len(values), -1) for values in (weights, rounded[name]))
        largest = np.abs(rows).max(axis=1)
        np.testing.assert_allclose(np.abs(found).max(axis=1), largest, rtol=1e-6)
        half_steps = largest[:, None] / (127 if depthwise else 64) / 2
        assert (np.abs(found - rows) <= half_steps * (1 + 1e-5)).all(), name


def test_each_channel_has_its_own_step_and_a_channel_of_zeros_stays_one(calibrated, graphs):
    from openvino import opset13

    # A float graph whose first layer has a channel of zeros and one a thousand times smaller.
    graph = _read(calibrated.model.onnx)
    name, node = next(
        (name, node) for name, node in nodes_by_name(graph).items() if "Convolution" in node.get_type_name()
    )
    weights = computed_values(node.input(1).get_source_output())
    weights[0], weights[1] = 0.0, weights[1] / 1000
    node.input(1).replace_source_output(opset13.constant(weights.astype(np.float32)).output(0))
    rounded = graphs[1].clone()
    round_weights(graph, rounded)
    found = weights_of(rounded)[name]
    assert (found[0] == 0.0).all()
    for channel in range(1, len(weights)):
        error = np.abs(found[channel] - weights[channel]).max() / np.abs(weights[channel]).max()
        assert 0 < error <= 0.5 / 64 + 1e-6


def test_steps_of_another_shape_are_refused(calibrated, graphs):
    from openvino import opset13

    rounded = graphs[1].clone()
    node = next(node for node in rounded.get_ordered_ops() if node.get_type_name() == "Convolution")
    product = node.input(1).get_source_output().get_node()
    product.input(1).replace_source_output(opset13.constant(np.float32(0.01)).output(0))
    with pytest.raises(FerEdgeError, match=r"layer .*: expected a step for each channel, found steps of \["):
        round_weights(_read(calibrated.model.onnx), rounded)


def test_weights_stored_in_another_way_are_not_passed_over(calibrated, graphs):
    from openvino import opset13

    rounded = graphs[1].clone()
    node = next(node for node in rounded.get_ordered_ops() if node.get_type_name() == "Convolution")
    product = node.input(1).get_source_output()
    node.input(1).replace_source_output(opset13.add(product, opset13.constant(np.float32(0.0))).output(0))
    with pytest.raises(FerEdgeError, match=r"layer .*: expected weights in float, or in int8 .* found Add$"):
        round_weights(_read(calibrated.model.onnx), rounded)


def test_layers_in_float_are_left_as_they_are(calibrated):
    from fer_edge_convert.onnx import onnx_layers

    last = onnx_layers(calibrated.model.onnx)[-1]
    ranges = calibrated.onnx_ranges("mse")
    mixed = _quantized(calibrated.model.onnx, calibrated.calibration, ranges, [last], None)
    name = next(name for name in weights_of(mixed) if name.startswith(last.name))
    np.testing.assert_array_equal(weights_of(mixed)[name], weights_of(_read(calibrated.model.onnx))[name])
