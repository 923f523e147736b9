"""ONNX to OpenVINO's .xml and .bin, and int8 quantization with NNCF."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_convert.openvino_xml import compact_xml
from fer_edge_convert.quiet import require_converters

__all__ = ["to_openvino_float32", "to_openvino_int8"]

Floats = npt.NDArray[np.float32]


def to_openvino_float32(model_onnx: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of .xml and .bin with float32 weights and activations."""
    return _serialized(_read(model_onnx))


def to_openvino_int8(model_onnx: bytes, calibration: Floats) -> tuple[bytes, bytes]:
    """Return the bytes of .xml and .bin with int8 convolutions (weights per channel) and float32 input and output.

    Args:
        model_onnx: of `to_onnx_float32`.
        calibration: float32 (n, h, w, c), what the network sees in use.
    """
    require_converters()
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # Its progress bar goes to standard output, which belongs to results.
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = nncf.quantize(
            _read(model_onnx),
            nncf.Dataset(calibration[:, np.newaxis]),
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            target_device=nncf.TargetDevice.CPU,
            # NNCF's default takes the mean of the images' extremes and clips what exceeds it; the other engines'
            # converters take the extremes of all images.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
            ),
        )
    return _serialized(quantized)


def _read(model_onnx: bytes) -> Any:
    require_converters()
    import openvino
    from openvino.passes import ConstantFolding, Manager

    graph = openvino.Core().read_model(io.BytesIO(model_onnx))
    # ONNX's grouped convolutions and biases come as chains of shape computations. Folded, the .xml is a third as long,
    # and NNCF finds the depthwise kernels: it stores them as int8 with a scale for each channel.
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(graph)
    return graph


def _serialized(graph: Any) -> tuple[bytes, bytes]:
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(graph, path, compress_to_fp16=False)
        return compact_xml(path.read_bytes()), path.with_suffix(".bin").read_bytes()
