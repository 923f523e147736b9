"""How many weights a network has and how many multiply-adds it does for one image, counted in its float .onnx."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.numpy_helper

__all__ = ["Arithmetic", "count_arithmetic"]


# Layers whose every weight is used once at each position.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What a network costs, whatever computes it.

    Attributes:
        weights: real numbers that the network holds, biases and slopes with them; normalizations are folded in.
        multiply_adds: of convolutions and dense layers for one image; None where a length is not fixed, or a product is
            of another kind, so that they cannot be counted.
    """

    weights: int
    multiply_adds: int | None

    def to_json(self) -> dict[str, int | None]:
        """Return JSON types."""
        return {"weights": self.weights, "multiply_adds": self.multiply_adds}


def count_arithmetic(model_float32: bytes) -> Arithmetic:
    """Count a network.

    Args:
        model_float32: an .onnx, its first axis the batch.
    """
    model = onnx.load_model_from_string(model_float32)
    # One image: a free batch would leave every shape open.
    for entry in model.graph.input:
        if entry.type.tensor_type.shape.dim:
            entry.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model).graph
    constants = _constants(graph)
    shapes: dict[str, tuple[int | None, ...]] = {name: tuple(tensor.dims) for name, tensor in constants.items()}
    shapes |= {entry.name: _shape(entry) for entry in (*graph.input, *graph.value_info, *graph.output)}
    read = {name for node in graph.node for name in node.input}
    products = [_products(node, shapes) for node in graph.node if node.op_type in _PRODUCTS]
    known = [count for count in products if count is not None]
    return Arithmetic(
        weights=sum(
            math.prod(tensor.dims)
            for name, tensor in constants.items()
            if name in read and tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims
        ),
        multiply_adds=sum(known) if len(known) == len(products) else None,
    )


def _constants(graph: Any) -> dict[str, Any]:
    """Return the tensors that a graph holds, as initializers or as nodes of their own, by name."""
    found = {item.name: item for item in graph.initializer}
    for node in graph.node:
        for item in node.attribute if node.op_type == "Constant" else ():
            if item.name == "value":
                found[node.output[0]] = item.t
    return found


def _products(node: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> int | None:
    """Return a layer's multiply-adds; a transposed convolution uses its kernel at each position of its input."""
    data, kernel = shapes.get(node.input[0]), shapes.get(node.input[1])
    output = shapes.get(node.output[0])
    if node.op_type == "Conv":
        positions = None if output is None else output[2:]
    elif node.op_type == "ConvTranspose":
        positions = None if data is None else data[2:]
    else:
        # Of a product of two answers, as in attention, each has a batch, and the second is no kernel.
        positions = None if output is None or kernel is None or len(kernel) != 2 else output[:-1]
    if positions is None or kernel is None or None in positions or None in kernel:
        return None
    return math.prod(length for length in (*positions, *kernel) if length is not None)


def _shape(entry: Any) -> tuple[int | None, ...]:
    dims = entry.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
