"""Bias correction in a quantized OpenVINO graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_convert.bias_correction import OfLayers, correct_biases
from fer_edge_convert.mean_answers import Geometry, Padding, mean_answer
from fer_edge_convert.openvino_graph import (
    ONE_THREAD_FLOAT32,
    WITH_WEIGHTS,
    computed_values,
    depends_on_input,
    nodes_by_name,
)

__all__ = ["correct_openvino", "with_float_activations"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_BATCH = 50  # images
_AUTO_PADDING: dict[str, Padding] = {"same_upper": "same-upper", "same_lower": "same-lower"}


def correct_openvino(float_graph: Any, quantized: Any, images: Floats) -> None:
    """Give a quantized graph the biases with which each layer's mean answer is the float graph's.

    The layers' weights are rounded, their activations are not: see `bias_correction`. The biases are changed where they
    are, as NNCF would take seconds for each layer to quantize anew.

    Args:
        float_graph: openvino.Model.
        quantized: made of it, with the same names; changed in place.
        images: float32 (n, h, w, c), coded as the network takes them.
    """
    layers = [node for node in float_graph.get_ordered_ops() if node.get_type_name() in WITH_WEIGHTS]
    names = [node.get_friendly_name() for node in layers if _is_linear(node) and _bias_input(node) is not None]
    if not names:
        return
    rounded = with_float_activations(quantized)
    originals, kept, copied = (nodes_by_name(graph) for graph in (float_graph, quantized, rounded))
    inputs = [_bias_input(copied[name]) for name in names]
    stored = [_bias_input(originals[name]).get_source_output().get_node().get_data() for name in names]

    def measure(biases: OfLayers, layer: int) -> Doubles:
        if layer:
            _set(inputs[layer - 1], biases[layer - 1].reshape(stored[layer - 1].shape))
        return _mean_answers(rounded, names[layer : layer + 1], images)[0]

    first = {index: np.asarray(values, np.float64).reshape(-1) for index, values in enumerate(stored)}
    wanted = dict(enumerate(_mean_answers(float_graph, names, images)))
    for index, bias in correct_biases(first, wanted, measure).items():
        _set(_bias_input(kept[names[index]]), bias.reshape(stored[index].shape))


def with_float_activations(quantized: Any) -> Any:
    """Return a copy of a quantized graph whose weights are rounded and whose activations are not."""
    copied = quantized.clone()
    for node in copied.get_ops():
        if node.get_type_name() == "FakeQuantize" and depends_on_input(node.input(0).get_source_output()):
            node.output(0).replace(node.input(0).get_source_output())
    return copied


def _mean_answers(graph: Any, names: Sequence[str], images: Floats) -> list[Doubles]:
    """Return the mean answers of layers by name; nothing behind them is computed."""
    import openvino
    from openvino import opset13

    copied = graph.clone()  # results that are added to a graph stay in it
    found = nodes_by_name(copied)
    layers = [found[name] for name in names]
    results = [opset13.result(node.input(0).get_source_output()) for node in layers]
    model = openvino.Model(results, copied.get_parameters())
    compiled = openvino.Core().compile_model(model, "CPU", ONE_THREAD_FLOAT32)
    sums: list[Any] = [0.0] * len(layers)
    for start in range(0, len(images), _BATCH):
        answers = compiled(images[start : start + _BATCH])
        for index in range(len(layers)):
            sums[index] = sums[index] + answers[index].sum(axis=0, dtype=np.float64)
    return [_mean_answer(node, total / len(images)) for node, total in zip(layers, sums, strict=True)]


def _mean_answer(node: Any, mean_input: Doubles) -> Doubles:
    weights = computed_values(node.input(1).get_source_output())
    found = node.get_attributes()
    if node.get_type_name() == "MatMul":
        return mean_answer(weights if found["transpose_b"] else weights.T, mean_input)
    groups = 1
    if node.get_type_name() == "GroupConvolution":
        groups = weights.shape[0]
        weights = weights.reshape(-1, *weights.shape[2:])
    padding = _AUTO_PADDING.get(found["auto_pad"], (*found["pads_begin"], *found["pads_end"]))
    strides, dilations = tuple(found["strides"]), tuple(found["dilations"])
    geometry = Geometry(strides=strides, dilations=dilations, padding=padding, groups=groups)
    return mean_answer(weights, mean_input, geometry)


def _is_linear(node: Any) -> bool:
    """Whether a node's mean answer is told here: a convolution of pictures, or a dense layer's product."""
    if node.get_type_name() != "MatMul":
        return len(node.input(0).get_partial_shape()) == 4
    return not node.get_attributes()["transpose_a"] and all(len(node.input(i).get_partial_shape()) == 2 for i in (0, 1))


def _bias_input(node: Any) -> Any:
    """Return the input of the addition behind a layer where its bias comes in, or None."""
    readers = list(node.output(0).get_target_inputs())
    addition = readers[0].get_node() if len(readers) == 1 else None
    if addition is None or addition.get_type_name() != "Add":
        return None
    constants = [
        item for item in addition.inputs() if item.get_source_output().get_node().get_type_name() == "Constant"
    ]
    channels = node.output(0).get_partial_shape()[1]
    if len(constants) != 1 or channels.is_dynamic:
        return None
    return (
        constants[0] if constants[0].get_source_output().get_node().get_data().size == channels.get_length() else None
    )


def _set(target: Any, values: Doubles) -> None:
    from openvino import opset13

    target.replace_source_output(opset13.constant(values.astype(np.float32)).output(0))
