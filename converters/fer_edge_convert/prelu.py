"""PReLU in networks that are to be quantized: kept one operation, and its channels brought to one range.

PReLU(x) = max(x, 0) + slope * min(x, 0), a slope for each channel (He et al., "Delving deep into rectifiers", 2015).
"""

from __future__ import annotations

from typing import Any

__all__ = ["fuse_prelu"]


def fuse_prelu(model_onnx: bytes) -> bytes:
    """Return an .onnx in which each PReLU is one PRelu node again.

    TensorFlow writes Keras' PReLU as max(x, 0) - slope * max(-x, 0), and tf2onnx keeps the five nodes. A quantizer
    rounds after each; engines run them one by one. Networks without the five nodes come back as they are, but for
    names of tensors that nothing reads.

    Args:
        model_onnx: float32; the nodes' names are kept, the PRelu has that of the final addition.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(model_onnx)
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    for addition in [node for node in graph.node if node.op_type == "Add"]:
        found = _five_nodes(graph, addition, constants)
        if found is None:
            continue
        source, negated_slope, obsolete = found
        slope = numpy_helper.from_array(-numpy_helper.to_array(constants[negated_slope]), f"{addition.name}/slope")
        graph.initializer.append(slope)
        fused = onnx.helper.make_node("PRelu", [source, slope.name], list(addition.output), name=addition.name)
        graph.node.insert(list(graph.node).index(addition), fused)
        for node in (*obsolete, addition):
            graph.node.remove(node)
    read = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    for item in [item for item in graph.initializer if item.name not in read]:
        graph.initializer.remove(item)
    written = {name for node in graph.node for name in node.output}
    for info in [info for info in graph.value_info if info.name not in written]:
        graph.value_info.remove(info)
    fused_bytes: bytes = model.SerializeToString()
    return fused_bytes


def _five_nodes(graph: Any, addition: Any, constants: dict[str, Any]) -> tuple[str, str, list[Any]] | None:
    """Return x, the constant that multiplies max(-x, 0), and the nodes before an addition; else None."""
    maker = {name: node for node in graph.node for name in node.output}

    def made_by(tensor: str, kind: str) -> Any:
        """Return the node that makes a tensor which nothing but one node reads, if it is of a kind."""
        node = maker.get(tensor)
        readers = sum(tensor in other.input for other in graph.node)
        return node if node is not None and node.op_type == kind and readers == 1 else None

    for positive_name, scaled_name in (tuple(addition.input), tuple(addition.input)[::-1]):
        positive, scaled = made_by(positive_name, "Relu"), made_by(scaled_name, "Mul")
        if positive is None or scaled is None:
            continue
        slopes = [name for name in scaled.input if name in constants]
        negatives = [node for name in scaled.input if (node := made_by(name, "Relu")) is not None]
        if len(slopes) != 1 or len(negatives) != 1:
            continue
        minus = made_by(negatives[0].input[0], "Neg")
        if minus is not None and minus.input[0] == positive.input[0]:
            return positive.input[0], slopes[0], [positive, minus, negatives[0], scaled]
    return None
