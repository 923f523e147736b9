"""Mean answers of an ONNX network's layers, and other biases for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_convert.bias_correction import OfLayers
from fer_edge_convert.mean_answers import Geometry, Padding, mean_answer
from fer_edge_convert.onnx_graph import read_in_bodies, read_in_bodies_of

__all__ = ["OnnxMeans"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # as `onnx_layers` counts
_BATCH = 50  # images
_AUTO_PADDING: dict[bytes, Padding] = {b"SAME_UPPER": "same-upper", b"SAME_LOWER": "same-lower"}


class OnnxMeans:
    """See MeanNetwork. Layers with biases are the convolutions and dense layers that have one in their own node.

    Args:
        model: in float32.
    """

    def __init__(self, model: bytes) -> None:
        import onnx

        self._model = onnx.load_model_from_string(model)
        self._constants = _constants(self._model)
        self._layers = _layers(self._model, self._constants)
        self._rounded: dict[str, Floats] = {}

    @property
    def biases(self) -> OfLayers:
        """See MeanNetwork."""
        return {
            index: self._constants[node.input[2]].astype(np.float64)
            for index, node in enumerate(self._layers)
            if len(node.input) > 2
            and node.input[2] in self._constants
            and _is_linear(node, self._constants[node.input[1]].ndim)
        }

    def with_biases(self, biases: OfLayers) -> bytes:
        """See MeanNetwork."""
        import onnx
        from onnx import numpy_helper

        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        nodes = {node.output[0]: node for node in model.graph.node}
        made = {}
        for index, bias in biases.items():
            node = nodes[self._layers[index].output[0]]
            # Layers can share one constant: each gets its own.
            node.input[2] = f"{node.output[0]}/bias"
            made[node.input[2]] = bias.astype(np.float32)
        read = ({name for node in model.graph.node for name in node.input} | read_in_bodies(model.graph)) - set(made)
        for item in [item for item in model.graph.initializer if item.name not in read]:
            model.graph.initializer.remove(item)
        model.graph.initializer.extend(numpy_helper.from_array(bias, name) for name, bias in made.items())
        data: bytes = model.SerializeToString()
        return data

    def round_weights(self, quantized: bytes) -> None:
        """See MeanNetwork; the file is of `to_onnx_int8`."""
        import onnx

        model = onnx.load_model_from_string(quantized)
        constants = _constants(model)
        for node, other in zip(self._layers, _layers(model, constants), strict=True):
            self._rounded[node.input[1]] = constants[other.input[1]].astype(np.float32)

    def mean_answers(self, images: Floats, layers: Collection[int], biases: OfLayers) -> OfLayers:
        """See MeanNetwork."""
        nodes = {index: self._layers[index] for index in layers}
        mean_inputs = self._mean_values(images, {node.input[0] for node in nodes.values()}, biases)
        return {
            index: mean_answer(
                _kernel(node, self._rounded.get(node.input[1], self._constants[node.input[1]]).astype(np.float64)),
                mean_inputs[node.input[0]],
                _geometry(node),
            )
            for index, node in nodes.items()
        }

    def _mean_values(self, images: Floats, tensors: Collection[str], biases: OfLayers) -> dict[str, Doubles]:
        """Return the mean over images of tensors, by name; nothing behind them is computed."""
        import onnx
        import onnxruntime
        from onnx import numpy_helper

        names = sorted(tensors)
        graph = onnx.load_model_from_string(self.with_biases(biases)).graph
        for item in graph.initializer:
            if item.name in self._rounded:
                item.CopyFrom(numpy_helper.from_array(self._rounded[item.name], item.name))
        makers = {name: node for node in graph.node for name in node.output}
        needed, reached = list(names), set(names)
        while needed:
            maker = makers.get(needed.pop())
            inputs = (*maker.input, *read_in_bodies_of(maker)) if maker is not None else ()
            more = [name for name in inputs if name not in reached]
            reached.update(more)
            needed += more
        part = onnx.helper.make_model(
            onnx.helper.make_graph(
                [node for node in graph.node if reached.intersection(node.output)],
                "part",
                list(graph.input),
                [onnx.helper.make_empty_tensor_value_info(name) for name in names],
                [item for item in graph.initializer if item.name in reached],
            ),
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
        sums: dict[str, Doubles] = {}
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            for name, values in zip(names, session.run(names, {graph.input[0].name: batch}), strict=True):
                sums[name] = sums.get(name, 0.0) + values.sum(axis=0, dtype=np.float64)
        return {name: values / len(images) for name, values in sums.items()}


def _constants(model: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the constants of a graph by name; what a node dequantizes of them too, as real values."""
    from onnx import numpy_helper

    found = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in found:
            continue
        stored, scale = (found[name].astype(np.float64) for name in node.input[:2])
        if scale.size > 1:
            shape = [1] * stored.ndim
            shape[_attributes(node).get("axis", 1)] = -1
            scale = scale.reshape(shape)
        found[node.output[0]] = stored * scale  # weights are stored about zero
    return found


def _layers(model: Any, constants: dict[str, npt.NDArray[Any]]) -> list[Any]:
    return [node for node in model.graph.node if node.op_type in _WITH_WEIGHTS and node.input[1] in constants]


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _is_linear(node: Any, weights_rank: int) -> bool:
    """Whether a node's mean answer is told here: a convolution of pictures, or x W + b without factors."""
    found = _attributes(node)
    if node.op_type == "Conv":
        return weights_rank == 4
    return bool(
        node.op_type == "Gemm" and not found.get("transA") and found.get("alpha", 1) == 1 and found.get("beta", 1) == 1
    )


def _kernel(node: Any, weights: Doubles) -> Doubles:
    return weights if node.op_type == "Conv" or _attributes(node).get("transB") else weights.T


def _geometry(node: Any) -> Geometry:
    if node.op_type != "Conv":
        return Geometry()
    found = _attributes(node)
    strides, dilations = (tuple(found.get(name, (1, 1))) for name in ("strides", "dilations"))
    padding = _AUTO_PADDING.get(found.get("auto_pad", b""), tuple(found.get("pads", (0, 0, 0, 0))))
    return Geometry(strides=strides, dilations=dilations, padding=padding, groups=found.get("group", 1))
