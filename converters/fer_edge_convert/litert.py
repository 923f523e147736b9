"""Keras to LiteRT (.tflite) with TensorFlow's converter, and its float32 file to smaller ones by LiteRT's quantizer."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fer_edge_convert.layers import Layer
from fer_edge_convert.quiet import quiet_tensorflow, require_converters
from fer_edge_convert.ranges import Observer, Range

__all__ = [
    "compact_litert",
    "litert_layers",
    "litert_observer",
    "quantize_litert",
    "to_litert_float32",
]

Floats = npt.NDArray[np.float32]
LitertPrecision = Literal["float16", "dynamic-int8", "int16", "int8"]

_KINDS = {"CONV_2D": "conv", "DEPTHWISE_CONV_2D": "depthwise", "FULLY_CONNECTED": "dense", "TRANSPOSE_CONV": "conv"}
_FILE_IDENTIFIER = b"TFL3"
_ACTIVATION_BITS = {"int8": 8, "int16": 16}


def to_litert_float32(model: Any) -> bytes:
    """Return a .tflite of a keras.Model with float32 weights and activations, and with the names of its layers."""
    converter = quiet_tensorflow().lite.TFLiteConverter.from_keras_model(model)
    # The converter reports its progress on standard output, which belongs to results.
    with contextlib.redirect_stdout(io.StringIO()):
        data: bytes = converter.convert()
    return data


def quantize_litert(
    model_float32: bytes,
    precision: LitertPrecision,
    *,
    activation_ranges: Mapping[str, Range] | None = None,
    float_layers: Iterable[Layer] = (),
) -> bytes:
    """Return a smaller .tflite.

    - float16: weights stored so, everything computed in float32 (half the file).
    - dynamic-int8: weights int8 per channel; activations float32, each quantized on the fly where a kernel can use it.
    - int8: activations, inputs and outputs int8 per tensor, weights int8 per channel, biases int32.
    - int16: the same with int16 activations, symmetric, biases int64.

    Args:
        model_float32: with the names of layers.
        precision: see above.
        activation_ranges: by tensor, as `litert_observer` names them; needed for int8 and int16, unused otherwise.
        float_layers: of `litert_layers`, these stay in float32.
    """
    require_converters()
    from litert_quantizer import qtyping, quantizer

    made = quantizer.Quantizer(bytearray(model_float32))
    every = qtyping.TFLOperationName.ALL_SUPPORTED
    calibrated = None
    if precision == "float16":
        half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        made.update_quantization_recipe(
            ".*",
            every,
            qtyping.OpQuantizationConfig(
                weight_tensor_config=half,
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            quantizer.AlgorithmName.FLOAT_CASTING,
        )
    elif precision == "dynamic-int8":
        made.add_dynamic_config(".*", every, num_bits=8)
    else:
        made.add_static_config(".*", every, activation_num_bits=_ACTIVATION_BITS[precision], weight_num_bits=8)
        calibrated = {name: _statistics(found) for name, found in (activation_ranges or {}).items()}
    for layer in float_layers:
        made.update_quantization_recipe(
            # The quantizer writes a ";" after each of a layer's outputs.
            f"^{re.escape(layer.name)};?$",
            every,
            algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its interpreter warns that it preserves all tensors
        result = made.quantize(calibrated, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def litert_layers(model_float32: bytes) -> tuple[Layer, ...]:
    """Return the layers with weights, in order."""
    interpreter = _interpreter(model_float32)
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    found = [operation for operation in interpreter._get_ops_details() if operation["op_name"] in _KINDS]
    return tuple(
        Layer(
            index=index,
            kind=_KINDS[operation["op_name"]],
            weights_shape=tuple(int(length) for length in tensors[operation["inputs"][1]]["shape"]),
            name=tensors[operation["outputs"][0]]["name"],
            output=tensors[operation["outputs"][0]]["name"],
        )
        for index, operation in enumerate(found)
    )


def litert_observer(model: bytes) -> Observer:
    """Return a function that runs a batch and gives each tensor that depends on it by name, the input first.

    What is quantized comes as the real values that it stands for. The kernels are LiteRT's own without delegates: with
    one, inner tensors would be out of sight.

    Args:
        model: in float32, int8 or int16, with the names of layers.
    """
    interpreters: dict[tuple[int, ...], Any] = {}

    def run(inputs: Floats) -> Mapping[str, Floats]:
        if inputs.shape not in interpreters:
            interpreters.clear()
            interpreters[inputs.shape] = _interpreter(model, inputs.shape)
        interpreter = interpreters[inputs.shape]
        (source,) = interpreter.get_input_details()
        interpreter.set_tensor(source["index"], _stored_values(inputs, source))
        interpreter.invoke()
        tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        computed = [source["index"], *(index for op in interpreter._get_ops_details() for index in op["outputs"])]
        return {
            tensors[index]["name"]: _real_values(interpreter.get_tensor(index), tensors[index])
            for index in computed
            if tensors[index]["dtype"] is np.float32 or tensors[index]["quantization"][0]
        }

    return run


def compact_litert(data: bytes) -> bytes:
    """Return the same network in a smaller file: inner tensors numbered, and equal lists of numbers stored once.

    Names of layers are 7 % of a small int8 file, and the zero points of its channels, all of them zero, another 15 %.
    """
    quiet_tensorflow()
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    for buffer in model.buffers:
        # LiteRT's quantizer puts large weights behind the flatbuffer; what is written here has all inside.
        if buffer.offset:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    for graph in model.subgraphs:
        edges = {*graph.inputs.tolist(), *graph.outputs.tolist()}
        for index, tensor in enumerate(graph.tensors):
            if index not in edges:
                tensor.name = str(index)
    builder = _sharing_builder()
    builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
    return bytes(builder.Output())


def _sharing_builder() -> Any:
    """Return a builder of flatbuffers that writes a vector once, wherever it is used."""
    import flatbuffers

    class Builder(flatbuffers.Builder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(1024)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802 - the name is the library's
            key = (x.dtype.str, x.tobytes())
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

    return Builder()


def _stored_values(values: Floats, detail: Mapping[str, Any]) -> npt.NDArray[Any]:
    scale, zero_point = detail["quantization"]
    if not scale:
        return values
    limits = np.iinfo(detail["dtype"])
    stored: npt.NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return stored.astype(detail["dtype"])


def _real_values(stored: npt.NDArray[Any], detail: Mapping[str, Any]) -> Floats:
    scale, zero_point = detail["quantization"]
    return stored.astype(np.float32) if not scale else (stored.astype(np.float32) - zero_point) * np.float32(scale)


def _statistics(found: Range) -> dict[str, Floats]:
    return {"min": np.full((1,), found[0], np.float32), "max": np.full((1,), found[1], np.float32)}


def _interpreter(model: bytes, input_shape: tuple[int, ...] | None = None) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # preserving all tensors is meant
        interpreter = Interpreter(
            model_content=model,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            num_threads=1,
        )
    if input_shape is not None:
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], input_shape)
    interpreter.allocate_tensors()
    return interpreter
