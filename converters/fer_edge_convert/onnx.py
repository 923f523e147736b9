"""Keras to ONNX with tf2onnx, and from its float32 file to float16 and, with ONNX Runtime's quantizer, to int8."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.engines import TensorSpec
from fer_edge_convert.layers import Layer
from fer_edge_convert.onnx_graph import align_addition_scales, name_constants, take_out_edge_quantizers, without_names
from fer_edge_convert.quiet import require_converters
from fer_edge_convert.ranges import Observer, Range

__all__ = [
    "QuantizedOnnx",
    "folded_onnx",
    "onnx_layers",
    "onnx_observer",
    "quantized_onnx_observer",
    "to_onnx_float16",
    "to_onnx_float32",
    "to_onnx_int8",
]

Floats = npt.NDArray[np.float32]

_DEQUANTIZED = "_DequantizeLinear_Output"
# The last opset that every onnxruntime since 1.14 runs and that quantizes per channel.
_OPSET = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedOnnx:
    """An int8 model's bytes and its quantized input and outputs, whose scales ONNX Runtime does not tell."""

    model: bytes
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]


def to_onnx_float32(model: Any) -> bytes:
    """Return an .onnx with float32 weights and activations, batch normalizations folded into convolutions."""
    require_converters()
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name=model.inputs[0].name)]
    proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=_OPSET)
    return folded_onnx(proto.SerializeToString())


def to_onnx_float16(model_float32: bytes) -> bytes:
    """Return an .onnx that stores and computes in float16; its input and outputs stay float32."""
    require_converters()
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    graph = onnx.load_model_from_string(model_float32)
    half: bytes = without_names(convert_float_to_float16(graph, keep_io_types=True)).SerializeToString()
    return half


def to_onnx_int8(
    model_float32: bytes, activation_ranges: Mapping[str, Range], *, float_layers: Iterable[Layer] = ()
) -> QuantizedOnnx:
    """Return an .onnx in QDQ form: all tensors uint8 per tensor but weights, int8 per channel within -64 to 64.

    With uint8 activations and int8 weights ONNX Runtime gave equal bytes on x86-64 and aarch64; with int8 activations
    it did not.

    Args:
        model_float32: of `to_onnx_float32`.
        activation_ranges: by tensor, as `onnx_observer` names them.
        float_layers: of `onnx_layers`, these stay in float32.
    """
    quantized = _qdq_graph(model_float32, activation_ranges, float_layers)
    tensors = take_out_edge_quantizers(quantized)
    return QuantizedOnnx(
        model=without_names(quantized).SerializeToString(),
        input=tensors.input,
        outputs=tensors.outputs,
    )


def _qdq_graph(model_float32: bytes, activation_ranges: Mapping[str, Range], float_layers: Iterable[Layer]) -> Any:
    require_converters()
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model_float32))
    extremes = {name: tuple(np.float32(end) for end in found) for name, found in activation_ranges.items()}
    quantizer = QDQQuantizer(
        graph,
        per_channel=True,
        # Weights of seven bits: without VNNI, x86 processors add pairs of uint8 x int8 products in 16 bits, which
        # eight-bit weights overflow; labels changed on an emulated Haswell.
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, extremes),
        nodes_to_quantize=[],
        nodes_to_exclude=[layer.name for layer in float_layers],
        op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
        extra_options={},
    )
    quantizer.quantize_model()
    quantized = quantizer.model.model
    align_addition_scales(quantized)
    return quantized


def onnx_layers(model_float32: bytes) -> tuple[Layer, ...]:
    """Return the layers with weights, in order."""
    import onnx

    graph = onnx.load_model_from_string(model_float32).graph
    shapes = {item.name: tuple(item.dims) for item in graph.initializer}
    found = [
        (node, shapes[node.input[1]])
        for node in graph.node
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") and node.input[1] in shapes
    ]
    return tuple(
        Layer(index=index, kind=_kind(node, shape), weights_shape=shape, name=node.name, output=node.output[0])
        for index, (node, shape) in enumerate(found)
    )


def _kind(node: Any, weights_shape: tuple[int, ...]) -> str:
    if node.op_type in ("Gemm", "MatMul"):
        return "dense"
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return "depthwise" if groups > 1 and weights_shape[1] == 1 else "conv"


def onnx_observer(model_float32: bytes) -> Observer:
    """Return a function that runs a batch and gives each float32 tensor that depends on it by name, the input first."""
    import onnx

    return _observer(onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model_float32)))


def quantized_onnx_observer(
    model_float32: bytes, activation_ranges: Mapping[str, Range], *, float_layers: Iterable[Layer] = ()
) -> Observer:
    """Return what `onnx_observer` does, of the network that `to_onnx_int8` makes: real values by the tensors' names."""
    graph = _qdq_graph(model_float32, activation_ranges, float_layers)
    # What the quantizer dequantizes has the name of the tensor, or is named after it.
    rounded = {
        node.output[0]: node.output[0].removesuffix(_DEQUANTIZED)
        for node in graph.graph.node
        if node.op_type == "DequantizeLinear"
    }
    run_graph = _observer(graph)

    def run(inputs: Floats) -> Mapping[str, Floats]:
        return {rounded[name]: values for name, values in run_graph(inputs).items() if name in rounded}

    return run


def _observer(model: Any) -> Observer:
    require_converters()
    import onnx
    import onnxruntime

    source = model.graph.input[0].name
    shown = [item.name for item in model.graph.output]
    results = tuple(shown)
    for node in model.graph.node:
        for name in node.output:
            if name and name not in shown:
                model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
                shown.append(name)
    options = onnxruntime.SessionOptions()
    # Fused nodes would hide what they compute between them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    floats = {item.name for item in session.get_outputs() if item.type == "tensor(float)"}
    names = [name for name in (*shown[len(results) :], *results) if name in floats]

    def run(inputs: Floats) -> Mapping[str, Floats]:
        return {source: inputs, **dict(zip(names, session.run(names, {source: inputs}), strict=True))}

    return run


@contextlib.contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Keep ONNX Runtime from saving a graph whose shapes it could not infer into the current folder."""
    import onnx

    save = onnx.save_model

    def save_asked_for(model: Any, path: Any, *arguments: Any, **options: Any) -> None:
        if path != "sym_shape_infer_temp.onnx":
            save(model, path, *arguments, **options)

    onnx.save_model = save_asked_for
    try:
        yield
    finally:
        onnx.save_model = save


def folded_onnx(model: bytes) -> bytes:
    """Let ONNX Runtime infer shapes and fold constants and batch normalizations; the nodes keep their names.

    The same network gives the same bytes in every process.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "folded.onnx"
        source.write_bytes(model)
        with _nothing_left_behind():
            quant_pre_process(source, target, skip_symbolic_shape=False)
        folded = onnx.load_model(target)
    name_constants(folded)
    made: bytes = folded.SerializeToString(deterministic=True)
    return made
