"""How many weights a network has and how many multiply-adds it does for one image, counted in its float .onnx."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.numpy_helper

__all__ = ["Arithmetic", "count_arithmetic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What a network costs, whatever computes it.

    Attributes:
        weights: numbers of the convolutions and dense layers, their biases with them; normalizations are folded in.
        multiply_adds: of the convolutions and dense layers for one image; None where a length is not fixed.
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
    constants = {item.name: tuple(item.dims) for item in graph.initializer}
    shapes = {entry.name: _shape(entry) for entry in (*graph.value_info, *graph.output)}
    weights = 0
    products: list[int | None] = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or len(node.input) < 2 or node.input[1] not in constants:
            continue
        weights += sum(math.prod(constants[name]) for name in node.input[1:] if name in constants)
        products.append(_products(node, constants[node.input[1]], shapes.get(node.output[0])))
    known = [count for count in products if count is not None]
    return Arithmetic(weights=weights, multiply_adds=sum(known) if len(known) == len(products) else None)


def _products(node: Any, kernel: tuple[int, ...], output: tuple[int | None, ...] | None) -> int | None:
    """Return a layer's multiply-adds: each number of a kernel is used once at each position of its output."""
    positions = None if output is None else output[2:] if node.op_type == "Conv" else output[:-1]
    if positions is None or None in positions:
        return None
    return math.prod(length for length in positions if length is not None) * math.prod(kernel)


def _shape(entry: Any) -> tuple[int | None, ...]:
    dims = entry.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
