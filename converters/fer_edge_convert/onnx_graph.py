"""Small changes to ONNX graphs that no converter offers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fer_edge.engines import TensorSpec

__all__ = [
    "EdgeTensors",
    "align_addition_scales",
    "is_exact",
    "name_constants",
    "read_in_bodies",
    "read_in_bodies_of",
    "shortened_onnx",
    "take_out_edge_quantizers",
    "without_names",
]

_COMPARED_OPS = frozenset(
    {
        "Add",
        "AveragePool",
        "Conv",
        "DequantizeLinear",
        "Gemm",
        "GlobalAveragePool",
        "MaxPool",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
    }
)
# A scale that is such a multiple already, but for rounding, keeps it.
_LOG2_TOLERANCE = 1e-6
_SCALE_TOLERANCE = 1e-6  # relative; of float32
_SHAPE_OPS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze")


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeTensors:
    """The quantized input and outputs of a graph."""

    input: TensorSpec
    outputs: tuple[TensorSpec, ...]


def take_out_edge_quantizers(model: Any) -> EdgeTensors:
    """Make a QDQ model take and give uint8: its first QuantizeLinear and last DequantizeLinear are removed.

    The pixels then go in as they are, and the outputs can be compared byte for byte. An edge where a layer stays in
    float32 has none of these nodes and stays float32.

    Args:
        model: onnx.ModelProto with one input, changed in place.
    """
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}

    source = graph.input[0]
    input_spec = _float_spec(source)
    entry = _first_reader(graph, source.name)
    # Changes of shape do not care for the type of what they move.
    while entry is not None and entry.op_type in _SHAPE_OPS:
        entry = _first_reader(graph, entry.output[0])
    if entry is not None and entry.op_type == "QuantizeLinear":
        input_spec = _quantized_spec(source, entry, constants)
        source.type.tensor_type.elem_type = constants[entry.input[2]].data_type
        graph.node.remove(entry)
        _rename(graph, entry.output[0], entry.input[0])

    output_specs = []
    for sink in graph.output:
        last = next(node for node in graph.node if sink.name in node.output)
        if last.op_type != "DequantizeLinear":
            output_specs.append(_float_spec(sink))
            continue
        output_specs.append(_quantized_spec(sink, last, constants))
        stored = last.input[0]
        sink.type.tensor_type.elem_type = constants[last.input[2]].data_type
        graph.node.remove(last)
        _rename(graph, stored, sink.name)
    return EdgeTensors(input=input_spec, outputs=tuple(output_specs))


def align_addition_scales(model: Any) -> None:
    """Make each input's scale of each addition the output's, or that times a power of two.

    ONNX Runtime adds quantized tensors in float32, as a * (scale_a / scale_out) + b * (scale_b / scale_out), rounded;
    aarch64 fuses the multiplication with the addition and x86 does not, so sums near a half come out differently.
    Powers of two make every product and sum exact. None is below 1: half a step would make sums that lie in the middle
    of two, which the two round to different sides.

    A range grows upwards: its lower end stays where it is, but for a step, because a rectifier that was folded into a
    tensor's quantization is nothing but a range that begins at zero.

    Args:
        model: onnx.ModelProto in QDQ form with uint8 activations, changed in place. A tensor that goes into several
            additions fits the first of them alone.
    """
    import math

    import numpy as np
    from onnx import numpy_helper

    constants = {item.name: item for item in model.graph.initializer}
    maker = {name: node for node in model.graph.node for name in node.output}

    def parameters(quantizer: Any) -> tuple[float, int]:
        scale, zero_point = (numpy_helper.to_array(constants[name]).item() for name in quantizer.input[1:3])
        return scale, zero_point

    # Backwards, because a residual network's sums are inputs of its next addition.
    for addition in reversed([node for node in model.graph.node if node.op_type == "Add"]):
        sources = [maker[name] for name in addition.input if name in maker]
        sink = _first_reader(model.graph, addition.output[0])
        if len(sources) < 2 or any(node.op_type != "DequantizeLinear" for node in sources) or sink is None:
            continue  # of a constant, or of layers that stay in float32
        if any(node.input[0] in constants for node in sources):
            continue  # a constant is stored already, in the steps that it was given
        if sink.op_type != "QuantizeLinear":
            continue
        output_scale, _ = parameters(sink)
        for source in sources:
            scale, zero_point = parameters(source)
            new_scale = output_scale * 2.0 ** max(math.ceil(math.log2(scale / output_scale) - _LOG2_TOLERANCE), 0)
            new_zero_point = min(math.ceil(zero_point * scale / new_scale), 255)
            for name, value in ((source.input[1], np.float32(new_scale)), (source.input[2], np.uint8(new_zero_point))):
                constants[name].CopyFrom(numpy_helper.from_array(np.array(value), name))
    _fit_bias_steps(model.graph)


def _fit_bias_steps(graph: Any) -> None:
    """Store each bias in steps of its layer's input times its weights again, as the engine's integer sums have them.

    A shortcut's tensor goes into an addition and into a convolution: its scale was changed after the convolution's bias
    had been stored.
    """
    import numpy as np
    from onnx import numpy_helper

    constants = {item.name: item for item in graph.initializer}
    for bias, steps in _biases_and_steps(graph):
        stored, scale = (numpy_helper.to_array(constants[name]) for name in bias.input[:2])
        if np.allclose(scale, steps, rtol=_SCALE_TOLERANCE, atol=0):
            continue
        limits = np.iinfo(stored.dtype)
        values = np.clip(np.rint(stored * (scale.astype(np.float64) / steps)), limits.min, limits.max)
        for name, array in ((bias.input[0], values.astype(stored.dtype)), (bias.input[1], steps.astype(np.float32))):
            constants[name].CopyFrom(numpy_helper.from_array(array, name))


def _biases_and_steps(graph: Any) -> Iterator[tuple[Any, Any]]:
    """Give each quantized layer's bias, as the node that dequantizes it, and the steps that it should have.

    The steps are float64 of the scale's shape: the input's times the weights'.
    """
    import numpy as np
    from onnx import numpy_helper

    constants = {item.name: item for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or len(node.input) < 3:
            continue
        sources = [maker[name] for name in node.input if name in maker]
        if [source.op_type for source in sources] != ["DequantizeLinear"] * 3:
            continue
        pixels, weights, bias = sources
        if bias.input[0] not in constants:
            continue
        scales = [numpy_helper.to_array(constants[source.input[1]]).astype(np.float64) for source in (pixels, weights)]
        yield bias, (scales[0] * scales[1]).reshape(numpy_helper.to_array(constants[bias.input[1]]).shape)


def is_exact(model: bytes) -> bool:
    """Whether a QDQ network is one of those whose answers were shown to be equal on every machine.

    It has no operators but those of the networks that were compared (tests/devices/test_int8_agreement.py), each
    addition's inputs have its output's scale times 1, 2, 4, ..., each bias its sums' steps, and no layer is left in
    float32.
    """
    import math

    import numpy as np
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(model).graph
    if any(node.op_type not in _COMPARED_OPS for node in graph.node):
        return False
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    # With other steps ONNX Runtime leaves the layer in float32.
    for bias, steps in _biases_and_steps(graph):
        if not np.allclose(constants[bias.input[1]], steps, rtol=_SCALE_TOLERANCE, atol=0):
            return False
    for addition in (node for node in graph.node if node.op_type == "Add"):
        sink = _first_reader(graph, addition.output[0])
        sources = [maker.get(name) for name in addition.input]
        if sink is None or sink.op_type != "QuantizeLinear":
            return False
        for source in sources:
            if source is None or source.op_type != "DequantizeLinear" or source.input[0] in constants:
                return False
            ratio = float(constants[source.input[1]]) / float(constants[sink.input[1]])
            mantissa, exponent = math.frexp(float(f"{ratio:.6g}"))
            if mantissa != 0.5 or exponent < 1:
                return False
    return True


def name_constants(model: Any) -> None:
    """Name each constant after the first node that reads it, and put them in the order in which they are read.

    tf2onnx counts constants in an order that differs from process to process; with it the file's bytes would differ.

    Args:
        model: onnx.ModelProto whose nodes have names of their own, changed in place.
    """
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    taken = {name for node in graph.node for name in node.output} | {item.name for item in graph.input} | {*constants}
    fixed = read_in_bodies(graph)
    new_names: dict[str, str] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in constants and name not in new_names:
                wanted = f"{node.name}/constant{position}"
                new_names[name] = name if name in fixed or wanted in taken else wanted
                taken.add(wanted)
            node.input[position] = new_names.get(name, name)
    order = [*new_names, *(name for name in constants if name not in new_names)]
    ordered = [type(constants[name]).FromString(constants[name].SerializeToString()) for name in order]
    for item in ordered:
        item.name = new_names.get(item.name, item.name)
    del graph.initializer[:]
    graph.initializer.extend(ordered)


def read_in_bodies(graph: Any) -> set[str]:
    """Return the names of all tensors that nodes inside of others (the bodies of If, Loop and Scan) read."""
    return {name for node in graph.node for name in read_in_bodies_of(node)}


def read_in_bodies_of(node: Any) -> set[str]:
    """Return the names of all tensors that nodes inside of one read."""
    found: set[str] = set()
    for attribute in node.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            found |= {name for inner in body.node for name in inner.input}
            found |= {item.name for item in body.output}
            found |= read_in_bodies(body)
    return found


def without_names(model: Any) -> Any:
    """Shorten all inner names, drop documentation and inferred shapes; inputs and outputs keep their names.

    Names are a third of a small quantized model's file.

    Args:
        model: onnx.ModelProto, changed in place and returned.
    """
    graph = model.graph
    # An empty name stands for an optional input that is left out. Bodies of nodes read some tensors by their names.
    kept = ("", *(item.name for item in (*graph.input, *graph.output)), *read_in_bodies(graph))
    short: dict[str, str] = {name: name for name in kept}
    unused = (name for number in itertools.count() if (name := f"t{number}") not in short)

    def shortened(name: str) -> str:
        if name not in short:
            short[name] = next(unused)
        return short[name]

    for item in graph.initializer:
        item.name = shortened(item.name)
        item.ClearField("doc_string")
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                names[position] = shortened(name)
    # Free lengths are named after a converter's count, which differs from run to run.
    lengths: dict[str, str] = {}
    for edge in (*graph.input, *graph.output):
        for axis in edge.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = lengths.setdefault(axis.dim_param, f"n{len(lengths)}")
    del graph.value_info[:]
    del graph.quantization_annotation[:]
    for field in ("doc_string", "producer_name", "producer_version"):
        model.ClearField(field)
    graph.ClearField("doc_string")
    graph.name = "model"
    return model


def shortened_onnx(model: bytes) -> bytes:
    """Return a model's file without inner names."""
    import onnx

    short: bytes = without_names(onnx.load_model_from_string(model)).SerializeToString()
    return short


def _quantized_spec(edge: Any, node: Any, constants: dict[str, Any]) -> TensorSpec:
    """Describe the stored side of an edge's QuantizeLinear or DequantizeLinear."""
    import onnx
    from onnx import numpy_helper

    zero_point = constants[node.input[2]]
    return TensorSpec(
        name=edge.name,
        shape=_shape(edge),
        dtype={onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.INT8: "int8"}[zero_point.data_type],
        scale=float(numpy_helper.to_array(constants[node.input[1]]).item()),
        zero_point=int(numpy_helper.to_array(zero_point).item()),
    )


def _float_spec(edge: Any) -> TensorSpec:
    return TensorSpec(name=edge.name, shape=_shape(edge), dtype="float32")


def _shape(edge: Any) -> tuple[int | None, ...]:
    return tuple(axis.dim_value or None for axis in edge.type.tensor_type.shape.dim)


def _first_reader(graph: Any, tensor: str) -> Any:
    """Return the one node that reads a tensor, or None where none or several do."""
    readers = [node for node in graph.node if tensor in node.input]
    return readers[0] if len(readers) == 1 else None


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
