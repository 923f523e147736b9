"""Reading an openvino.Model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ONE_THREAD_FLOAT32", "WITH_WEIGHTS", "computed_values", "depends_on_input", "nodes_behind", "nodes_by_name"]

WITH_WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")

# How graphs are computed where figures are taken from them: in one order of sums, nothing rounded further (with VNNI,
# activations that meet int8 weights in a product would be).
ONE_THREAD_FLOAT32 = {
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 1,
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}


def computed_values(output: Any) -> npt.NDArray[np.float64]:
    """Return the values of a tensor that depends on no input: stored weights come multiplied with their steps."""
    import openvino
    from openvino import opset13

    model = openvino.Model([opset13.result(output)], [])
    compiled = openvino.Core().compile_model(model, "CPU", ONE_THREAD_FLOAT32)
    return np.asarray(compiled([])[0], np.float64)


def depends_on_input(output: Any) -> bool:
    """Whether a tensor changes with what the network is given."""
    return any(node.get_type_name() == "Parameter" for node in nodes_behind(output.get_node()))


def nodes_behind(node: Any) -> Iterator[Any]:
    """Yield a node and, each once, all that it is computed from."""
    waiting, seen = [node], {node.get_friendly_name()}
    while waiting:
        found = waiting.pop()
        yield found
        for item in found.inputs():
            source = item.get_source_output().get_node()
            if source.get_friendly_name() not in seen:
                seen.add(source.get_friendly_name())
                waiting.append(source)


def nodes_by_name(graph: Any) -> dict[str, Any]:
    """Return a graph's nodes by their friendly names."""
    return {node.get_friendly_name(): node for node in graph.get_ops()}
