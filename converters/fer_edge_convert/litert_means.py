"""Mean answers of a .tflite's layers, and other biases for it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_convert.bias_correction import OfLayers
from fer_edge_convert.mean_answers import Geometry, Padding, mean_answer

__all__ = ["LitertMeans"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")  # as `litert_layers` counts
_BATCH = 50  # images
_FILE_IDENTIFIER = b"TFL3"
_SAME = 0  # tflite's Padding
_FLOAT32, _INT8 = 0, 9  # tflite's TensorType
_DTYPES: dict[int, npt.DTypeLike] = {_FLOAT32: np.float32, _INT8: np.int8}


class LitertMeans:
    """See MeanNetwork. Layers with biases are the convolutions and dense layers; transposed ones keep theirs.

    Args:
        data: of a .tflite in float32.
    """

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert.tools import flatbuffer_utils

        self._model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
        for buffer in self._model.buffers:
            # LiteRT's quantizer puts large weights behind the flatbuffer; what is written here has all inside.
            if buffer.offset:
                buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        self._graph = self._model.subgraphs[0]
        kinds = [flatbuffer_utils.opcode_to_name(self._model, op.opcodeIndex) for op in self._graph.operators]
        self._layers = [
            (position, kind, operator)
            for position, (kind, operator) in enumerate(zip(kinds, self._graph.operators, strict=True))
            if kind in _WITH_WEIGHTS
        ]

    @property
    def biases(self) -> OfLayers:
        """See MeanNetwork."""
        return {
            index: self._value(operator.inputs[2])
            for index, (_, kind, operator) in enumerate(self._layers)
            if kind != "TRANSPOSE_CONV" and len(operator.inputs) > 2 and operator.inputs[2] >= 0
        }

    def with_biases(self, biases: OfLayers) -> bytes:
        """See MeanNetwork."""
        return _packed(self._with_biases(biases))

    def _with_biases(self, biases: OfLayers) -> Any:
        model, graph = copy.copy(self._model), copy.copy(self._graph)
        model.subgraphs = [graph]
        model.buffers, graph.tensors, graph.operators = list(model.buffers), list(graph.tensors), list(graph.operators)
        # Layers can share one tensor and tensors one buffer: each layer gets its own.
        tensor_readers = Counter(int(index) for operator in graph.operators for index in operator.inputs)
        buffer_readers = Counter(int(tensor.buffer) for tensor in graph.tensors)
        for index, bias in biases.items():
            position, _, operator = self._layers[index]
            buffer = copy.copy(model.buffers[graph.tensors[operator.inputs[2]].buffer])
            buffer.data = np.frombuffer(bias.astype(np.float32).tobytes(), np.uint8)
            tensor = copy.copy(graph.tensors[operator.inputs[2]])
            if tensor_readers[operator.inputs[2]] == 1 and buffer_readers[tensor.buffer] == 1:
                model.buffers[tensor.buffer] = buffer
                continue
            tensor_readers[operator.inputs[2]] -= 1
            tensor.buffer = len(model.buffers)
            tensor.name = tensor.name + b"/of" + str(index).encode()
            model.buffers.append(buffer)
            own = copy.copy(operator)
            own.inputs = np.array([*operator.inputs[:2], len(graph.tensors), *operator.inputs[3:]], np.int32)
            graph.tensors.append(tensor)
            graph.operators[position] = own
        return model

    def round_weights(self, quantized: bytes) -> None:
        """See MeanNetwork; the file is of `quantize_litert`."""
        other = LitertMeans(quantized)
        for (_, _, operator), (_, _, rounded) in zip(self._layers, other._layers, strict=True):
            tensor = self._graph.tensors[operator.inputs[1]]
            real = other._value(rounded.inputs[1]).astype(np.float32)
            # Another buffer, should several tensors have the same.
            buffer = copy.copy(self._model.buffers[tensor.buffer])
            buffer.data = np.frombuffer(real.tobytes(), np.uint8)
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)

    def mean_answers(self, images: Floats, layers: Collection[int], biases: OfLayers) -> OfLayers:
        """See MeanNetwork."""
        sources = {index: int(self._layers[index][2].inputs[0]) for index in layers}
        last = max((self._layers[index][0] for index in layers), default=0)
        mean_inputs = self._mean_values(images, sorted(set(sources.values())), last, biases)
        return {index: self._mean_answer(index, mean_inputs[source]) for index, source in sources.items()}

    def _mean_answer(self, index: int, mean_input: Doubles) -> Doubles:
        _, kind, operator = self._layers[index]
        weights, options = self._value(operator.inputs[1]), operator.builtinOptions
        if kind == "FULLY_CONNECTED":
            return mean_answer(weights, mean_input.reshape(-1, weights.shape[1]).mean(axis=0))
        # (out, height, width, in), of depthwise ones (1, height, width, out).
        kernel = weights.transpose(3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else weights.transpose(0, 3, 1, 2)
        padding: Padding = "same-upper" if options.padding == _SAME else (0, 0, 0, 0)
        geometry = Geometry(
            strides=(options.strideH, options.strideW),
            dilations=(options.dilationHFactor, options.dilationWFactor),
            padding=padding,
            groups=mean_input.shape[2] // kernel.shape[1],
        )
        return mean_answer(kernel, mean_input.transpose(2, 0, 1), geometry)

    def _value(self, index: int) -> Doubles:
        """Return a constant's real values."""
        tensor = self._graph.tensors[index]
        data = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8)
        stored = data.view(_DTYPES[tensor.type]).reshape(tensor.shape).astype(np.float64)
        steps = tensor.quantization
        if tensor.type == _FLOAT32 or steps is None or steps.scale is None:
            return stored
        shape = [1] * stored.ndim
        shape[steps.quantizedDimension] = -1
        return np.asarray(stored * np.asarray(steps.scale, np.float64).reshape(shape))  # weights lie about zero

    def _mean_values(
        self, images: Floats, tensors: list[int], n_operators: int, biases: OfLayers
    ) -> dict[int, Doubles]:
        """Return the mean over images of tensors, by number; only the first operators are run."""
        from ai_edge_litert.interpreter import Interpreter

        model = self._with_biases(biases)
        model.signatureDefs = None
        graph = model.subgraphs[0]
        graph.operators = graph.operators[:n_operators]
        graph.outputs = np.array(tensors, np.int32)
        interpreter = Interpreter(model_content=_packed(model), num_threads=1)
        (source,) = interpreter.get_input_details()
        sums: dict[int, Doubles] = {}
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            interpreter.resize_tensor_input(source["index"], batch.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(source["index"], batch)
            interpreter.invoke()
            for index, detail in zip(tensors, interpreter.get_output_details(), strict=True):
                values = interpreter.get_tensor(detail["index"]).sum(axis=0, dtype=np.float64)
                sums[index] = sums.get(index, 0.0) + values
        return {index: values / len(images) for index, values in sums.items()}


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())
