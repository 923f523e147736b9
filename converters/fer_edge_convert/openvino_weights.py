"""The seven-bit weights of a graph that NNCF quantized, rounded anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_edge.errors import FerEdgeError
from fer_edge_convert.openvino_graph import WITH_WEIGHTS, computed_values, depends_on_input, nodes_behind, nodes_by_name

__all__ = ["N_WEIGHT_STEPS", "round_weights"]

# From zero to a channel's largest weight. Seven bits: eight-bit weights overflow 16-bit sums on x86 processors without
# VNNI (docs/agreement.md); 2 x 64 x 255 stays below 2^15. ONNX Runtime's quantizer has as many steps.
N_WEIGHT_STEPS = 64


def round_weights(float_graph: Any, quantized: Any) -> None:
    """Round seven-bit weights so that the largest of each channel is kept as it is.

    NNCF makes 63.5 steps to the largest weight, which then lies between two and nearly always loses the half. Every
    channel answers a little less than it should, and where means are corrected the loss of contrast grows from layer to
    layer (docs/corrections.md).

    Args:
        float_graph: openvino.Model.
        quantized: made of it, with the same names; changed in place.

    Raises:
        FerEdgeError: a layer's weights are stored in a way that is not known here.
    """
    from openvino import opset13

    originals = nodes_by_name(float_graph)
    for node in quantized.get_ordered_ops():
        if node.get_type_name() not in WITH_WEIGHTS or depends_on_input(node.input(1).get_source_output()):
            continue
        name = node.get_friendly_name()
        places = _stored_weights(node, name)
        if places is None:
            continue
        stored, scale = places
        if np.abs(computed_values(stored.get_source_output())).max() > N_WEIGHT_STEPS:
            continue  # eight bits, as NNCF leaves depthwise kernels, which are not summed in pairs: 127 whole steps
        weights = computed_values(originals[name].input(1).get_source_output())
        if len(scale.get_shape()) != weights.ndim:
            raise FerEdgeError(f"layer {name}: expected a step for each channel, found steps of {scale.get_shape()}")
        within_channel = tuple(axis for axis, length in enumerate(scale.get_shape()) if length == 1)
        largest = np.abs(weights).max(axis=within_channel, keepdims=True)
        step = np.where(largest > 0.0, largest / N_WEIGHT_STEPS, 1.0)
        stored.replace_source_output(opset13.constant(np.rint(weights / step).astype(np.int8)).output(0))
        scale.replace_source_output(opset13.constant(step.astype(np.float32)).output(0))


def _stored_weights(node: Any, name: str) -> tuple[Any, Any] | None:
    """Return the inputs where a layer's int8 weights and their steps come in, or None where it is in float."""
    product = node.input(1).get_source_output().get_node()
    if not any(_is_rounded(each) for each in nodes_behind(product)):
        return None
    if product.get_type_name() == "Multiply":
        converted = product.input(0).get_source_output().get_node()
        if converted.get_type_name() == "Convert" and converted.input(0).get_element_type().get_type_name() == "i8":
            return converted.input(0), product.input(1)
    raise FerEdgeError(
        f"layer {name}: expected weights in float, or in int8 with their steps, found {product.get_type_name()}"
    )


def _is_rounded(node: Any) -> bool:
    return bool(node.get_type_name() == "FakeQuantize" or node.get_output_element_type(0).get_type_name() == "i8")
