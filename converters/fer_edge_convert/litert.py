"""Keras to LiteRT (.tflite) with TensorFlow's converter."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge_convert.quiet import quiet_tensorflow

__all__ = ["to_litert_float32", "to_litert_int8"]

Floats = npt.NDArray[np.float32]


def to_litert_float32(model: Any) -> bytes:
    """Return a .tflite with float32 weights and activations."""
    return _convert(_converter(model))


def to_litert_int8(model: Any, calibration: Floats) -> bytes:
    """Return a .tflite in full int8: inputs, activations and outputs int8 per tensor, weights int8 per channel.

    Args:
        model: keras.Model with one input.
        calibration: float32 (n, h, w, c), what the network sees in use; its range sets each tensor's scale.
    """
    tf = quiet_tensorflow()

    def representative() -> Iterator[list[Floats]]:
        for image in calibration:
            yield [image[np.newaxis]]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return _convert(converter)


def _converter(model: Any) -> Any:
    return quiet_tensorflow().lite.TFLiteConverter.from_keras_model(model)


def _convert(converter: Any) -> bytes:
    # The converter reports its progress on standard output, which belongs to results.
    with contextlib.redirect_stdout(io.StringIO()):
        data: bytes = converter.convert()
    return _without_inner_names(data)


def _without_inner_names(data: bytes) -> bytes:
    """Number the inner tensors instead of naming them after Keras layers: 7 % of a small int8 file is names."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
    for graph in model.subgraphs:
        edges = {*graph.inputs.tolist(), *graph.outputs.tolist()}
        for index, tensor in enumerate(graph.tensors):
            if index not in edges:
                tensor.name = str(index)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
