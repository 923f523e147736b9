"""Which integers a quantized .tflite takes and gives."""

from __future__ import annotations

import copy
from typing import Any

from fer_edge.errors import InputError
from fer_edge_convert.quiet import quiet_tensorflow

__all__ = ["with_uint8_edges"]

# Numbers of the .tflite schema.
_UINT8, _INT8, _QUANTIZE = 3, 9, 114
_OFFSET = 128  # from an int8 to the uint8 that stands for the same real number


def with_uint8_edges(model: bytes) -> bytes:
    """Return an int8 .tflite that takes and gives uint8 instead, and computes the same.

    One QUANTIZE before the first operation and one behind each output add or subtract 128; scales stay. Cameras give
    uint8, and code in C can hand a picture over as it is.

    Args:
        model: with input and outputs in int8, without data behind the flatbuffer (as `compact_litert` leaves it).

    Raises:
        InputError: an edge is not int8, because a layer there stays in float32.
    """
    quiet_tensorflow()
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    graph = content.subgraphs[0]
    edges = {int(index) for index in (*graph.inputs, *graph.outputs)}
    others = [graph.tensors[index].name.decode() for index in sorted(edges) if graph.tensors[index].type != _INT8]
    if others:
        raise InputError(
            f"uint8 edges: expected an input and outputs in int8, found {', '.join(others)} in another type; "
            "leave the layers there out of the recipe's float_layers"
        )
    opcode = _opcode(content, schema)

    def requantize(source: int, target: int) -> Any:
        operation = schema.OperatorT()
        operation.opcodeIndex = opcode
        operation.inputs, operation.outputs = [source], [target]
        operation.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
        operation.builtinOptions = schema.QuantizeOptionsT()
        return operation

    twins: dict[int, int] = {}
    for index in sorted(edges):
        twin = copy.deepcopy(graph.tensors[index])
        twin.type = _UINT8
        twin.quantization.zeroPoint = [int(point) + _OFFSET for point in twin.quantization.zeroPoint]
        graph.tensors[index].name = f"{twin.name.decode()}_int8".encode()
        twins[index] = len(graph.tensors)
        graph.tensors.append(twin)
    before = [requantize(twins[index], index) for index in map(int, graph.inputs)]
    behind = [requantize(index, twins[index]) for index in map(int, graph.outputs)]
    graph.operators = [*before, *graph.operators, *behind]
    graph.inputs = [twins[int(index)] for index in graph.inputs]
    graph.outputs = [twins[int(index)] for index in graph.outputs]
    for signature in content.signatureDefs or ():
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = twins.get(entry.tensorIndex, entry.tensorIndex)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _opcode(content: Any, schema: Any) -> int:
    """Return the position of QUANTIZE among the operators that a file uses; it is added where it lacks."""
    for index, code in enumerate(content.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == _QUANTIZE:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = _QUANTIZE
    code.version = 1
    content.operatorCodes.append(code)
    return len(content.operatorCodes) - 1
