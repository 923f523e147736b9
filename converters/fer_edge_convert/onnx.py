"""Keras to ONNX with tf2onnx, and static int8 quantization with ONNX Runtime's quantizer."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.engines import TensorSpec
from fer_edge_convert.onnx_graph import align_addition_scales, take_out_edge_quantizers, without_names
from fer_edge_convert.quiet import require_converters

__all__ = ["QuantizedOnnx", "to_onnx_float32", "to_onnx_int8"]

Floats = npt.NDArray[np.float32]

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
    return _folded(proto.SerializeToString())


def to_onnx_int8(model_float32: bytes, calibration: Floats) -> QuantizedOnnx:
    """Return an .onnx in QDQ form: all tensors uint8 per tensor but weights, int8 per channel within -64 to 64.

    With uint8 activations and int8 weights ONNX Runtime gave equal bytes on x86-64 and aarch64; with int8 activations
    it did not.

    Args:
        model_float32: of `to_onnx_float32`.
        calibration: float32 (n, h, w, c), what the network sees in use; its range sets each tensor's scale.
    """
    require_converters()
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, input_name: str) -> None:
            self._images = ({input_name: image[np.newaxis]} for image in calibration)

        def get_next(self) -> dict[str, Floats] | None:
            return next(self._images, None)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model_float32)
        quantize_static(
            source,
            target,
            Reader(_input_name(model_float32)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Weights of seven bits: without VNNI, x86 processors add pairs of uint8 x int8 products in 16 bits, which
            # eight-bit weights overflow; labels changed on an emulated Haswell.
            reduce_range=True,
        )
        graph = onnx.load_model(target)
    align_addition_scales(graph)
    tensors = take_out_edge_quantizers(graph)
    return QuantizedOnnx(
        model=without_names(graph).SerializeToString(),
        input=tensors.input,
        outputs=tensors.outputs,
    )


def _folded(model: bytes) -> bytes:
    """Let ONNX Runtime infer shapes and fold constants and batch normalizations."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "folded.onnx"
        source.write_bytes(model)
        quant_pre_process(source, target, skip_symbolic_shape=False)
        folded: bytes = without_names(onnx.load_model(target)).SerializeToString()
    return folded


def _input_name(model: bytes) -> str:
    import onnx

    name: str = onnx.load_model_from_string(model).graph.input[0].name
    return name
