"""ONNX to OpenVINO's .xml and .bin, and int8 quantization with NNCF."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_convert.layers import Layer
from fer_edge_convert.openvino_means import correct_openvino
from fer_edge_convert.openvino_weights import round_weights
from fer_edge_convert.quiet import require_converters
from fer_edge_convert.ranges import Observer, Range

__all__ = ["quantized_openvino_observer", "to_openvino_float16", "to_openvino_float32", "to_openvino_int8"]

Floats = npt.NDArray[np.float32]

# A symmetric int8 tensor holds -128 to 127 steps.
_LOWEST, _HIGHEST = 128, 127


def to_openvino_float32(model_onnx: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of .xml and .bin with float32 weights and activations."""
    return _serialized(_read(model_onnx))


def to_openvino_float16(model_onnx: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of .xml and .bin with float16 weights; the engine computes in float32."""
    return _serialized(_read(model_onnx), half=True)


def to_openvino_int8(
    model_onnx: bytes,
    calibration: Floats,
    activation_ranges: Mapping[str, Range],
    *,
    float_layers: Iterable[Layer] = (),
    correction_images: Floats | None = None,
) -> tuple[bytes, bytes]:
    """Return the bytes of .xml and .bin with int8 convolutions (weights per channel) and float32 input and output.

    NNCF decides what is quantized and how; the ranges of activations are those given, and weights are rounded here so
    that a channel's largest is exact. Where NNCF quantizes activations per channel (in front of depthwise
    convolutions), its range of each channel is cut at those given. Its own correction of biases is for its own ranges
    and makes the answers worse with others (docs/corrections.md): it is off.

    Args:
        model_onnx: float32, with the names of layers.
        calibration: float32 (n, h, w, c), what the network sees in use.
        activation_ranges: by tensor, as `onnx_observer` names them.
        float_layers: of `onnx_layers`, these stay in float32.
        correction_images: float32 (n, h, w, c), for a correction of biases; None for none.
    """
    return _serialized(_quantized(model_onnx, calibration, activation_ranges, float_layers, correction_images))


def quantized_openvino_observer(xml: bytes, weights: bytes, tensors: Iterable[str]) -> Observer:
    """Return what `onnx_observer` does, of a network that `to_openvino_int8` made: the rounded tensors.

    Args:
        xml: with all names.
        weights: the .bin.
        tensors: names of those asked for, as `onnx_observer` has them.
    """
    import openvino
    from openvino import opset13

    graph = openvino.Core().read_model(model=xml, weights=weights)
    asked = set(tensors)
    rounded: dict[str, Any] = {}
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            names = node.input(0).get_source_output().names & asked
            rounded |= {name: node.output(0) for name in names}
    results = [opset13.result(output) for output in rounded.values()]
    # NNCF's FakeQuantize nodes are computed as they are, so that nothing is fused away.
    compiled = openvino.Core().compile_model(
        openvino.Model(results, graph.get_parameters()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def run(inputs: Floats) -> Mapping[str, Floats]:
        answers = compiled(inputs)
        return {name: np.array(answers[index]) for index, name in enumerate(rounded)}

    return run


def _quantized(
    model_onnx: bytes,
    calibration: Floats,
    activation_ranges: Mapping[str, Range],
    float_layers: Iterable[Layer],
    correction_images: Floats | None,
) -> Any:
    require_converters()
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    graph = _read(model_onnx)
    # Its progress bar goes to standard output, which belongs to results.
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = nncf.quantize(
            graph,
            nncf.Dataset(calibration[:, np.newaxis]),
            subset_size=len(calibration),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(names=_nodes_of(graph, float_layers)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                disable_bias_correction=True,
                overflow_fix=nncf.OverflowFix.ENABLE,  # seven bits, as `round_weights` has
            ),
        )
    round_weights(graph, quantized)
    _set_ranges(quantized, activation_ranges)
    if correction_images is not None:
        correct_openvino(graph, quantized, correction_images)
    return quantized


def _nodes_of(graph: Any, layers: Iterable[Layer]) -> list[str]:
    """Return the names of the nodes that compute the ONNX nodes `layers`: a bias is an addition of its own here."""
    names = {node.get_friendly_name() for node in graph.get_ops()}
    return [name for layer in layers for name in (layer.name, f"{layer.name}/WithoutBiases") if name in names]


def _set_ranges(graph: Any, activation_ranges: Mapping[str, Range]) -> None:
    """Give each FakeQuantize of an activation the range found for its tensor, symmetric where NNCF has made it so."""
    from openvino import opset13

    for node in graph.get_ordered_ops():
        source = node.input(0).get_source_output() if node.get_type_name() == "FakeQuantize" else None
        found = (
            next((activation_ranges[name] for name in source.names if name in activation_ranges), None)
            if source
            else None
        )
        if found is None:
            continue
        low, high = (node.input(i).get_source_output().get_node().get_data() for i in (1, 2))
        if (low < 0).any():
            # The smallest step with which 128 below zero and 127 above it reach both ends: pixels from -1 up to 127/128
            # then are whole steps, as they are on the other engines.
            step = max(-found[0] / _LOWEST, found[1] / _HIGHEST)
            ends = (-_LOWEST * step, _HIGHEST * step)
        else:
            ends = (0.0, found[1])
        # A channel's own range is cut at the tensor's; the range of a whole tensor becomes it.
        new_low = np.maximum(low, ends[0]) if low.size > 1 else np.full_like(low, ends[0])
        new_high = np.minimum(high, ends[1]) if high.size > 1 else np.full_like(high, ends[1])
        for position, value in ((1, new_low), (2, new_high), (3, new_low), (4, new_high)):
            constant = opset13.constant(value.astype(np.float32))
            node.input(position).replace_source_output(constant.output(0))


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


def _serialized(graph: Any, *, half: bool = False) -> tuple[bytes, bytes]:
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        openvino.save_model(graph, path, compress_to_fp16=half)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()
