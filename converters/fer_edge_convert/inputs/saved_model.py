"""TensorFlow's SavedModels: frozen, without a softmax at the end."""

from __future__ import annotations

import contextlib
import io
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_convert.float_model import Shape
from fer_edge_convert.inputs.converter_errors import conversion_errors, one_line
from fer_edge_convert.inputs.network import Network
from fer_edge_convert.inputs.trust import check_saved_model
from fer_edge_convert.onnx import folded_onnx
from fer_edge_convert.quiet import quiet_tensorflow

__all__ = ["SavedModelFloatModel", "read_saved_model"]

Floats = npt.NDArray[np.float32]

_SIGNATURES = ("serving_default", "serve")
_OPSET = 17  # as for other networks, see fer_edge_convert.onnx
_BATCH = 64


class SavedModelFloatModel:
    """A frozen function of one NHWC input and one output of logits."""

    def __init__(self, function: Any, where: str) -> None:
        self._function = function
        self._where = where

    @property
    def input_shape(self) -> Shape:
        """See FloatModel."""
        return tuple(self._function.inputs[0].shape)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """See FloatModel."""
        return tuple(tuple(output.shape) for output in self._function.outputs)

    @cached_property
    def litert(self) -> bytes:
        """See FloatModel."""
        converter = quiet_tensorflow().lite.TFLiteConverter.from_concrete_functions([self._function])
        # The converter reports its progress on standard output, which belongs to results.
        with conversion_errors(self._where, "LiteRT"), contextlib.redirect_stdout(io.StringIO()):
            data: bytes = converter.convert()
        return data

    @cached_property
    def onnx(self) -> bytes:
        """See FloatModel."""
        import tf2onnx

        with conversion_errors(self._where, "ONNX"):
            model, _ = tf2onnx.convert.from_graph_def(
                self._function.graph.as_graph_def(),
                input_names=[self._function.inputs[0].name],
                output_names=[self._function.outputs[0].name],
                opset=_OPSET,
            )
            return folded_onnx(model.SerializeToString())

    def predict(self, inputs: Floats) -> tuple[Floats, ...]:
        """See FloatModel."""
        tf = quiet_tensorflow()
        parts = [
            self._function(tf.constant(inputs[start : start + _BATCH]))[0].numpy()
            for start in range(0, len(inputs), _BATCH)
        ]
        return (np.concatenate(parts),)


def read_saved_model(folder: Path, *, trust: bool) -> Network:
    """Load a SavedModel's serving signature; a softmax at its end is taken off.

    Raises:
        InputError: it cannot be loaded, or is no network of one float32 input and one output.
        UsageError: it runs code or touches files and is not trusted.
    """
    tf = quiet_tensorflow()
    version = check_saved_model(folder, trust=trust)
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        loaded = tf.saved_model.load(str(folder))
        names = list(loaded.signatures)
    except Exception as error:
        raise InputError(f"{folder}: TensorFlow cannot load it ({one_line(error)}); export it again") from error
    signature = next((name for name in _SIGNATURES if name in names), names[0] if len(names) == 1 else None)
    if signature is None:
        raise InputError(
            f"{folder}: expected a signature {' or '.join(_SIGNATURES)}, found {', '.join(names) or 'none'}; "
            "export it with one"
        )
    try:
        frozen = convert_variables_to_constants_v2(loaded.signatures[signature])
    except Exception as error:
        raise InputError(f"{folder}: TensorFlow cannot freeze it ({one_line(error)}); export it again") from error
    if len(frozen.inputs) != 1 or len(frozen.outputs) != 1:
        raise InputError(
            f"{folder}: expected one input and one output, found {len(frozen.inputs)} and {len(frozen.outputs)}"
        )
    if frozen.inputs[0].dtype != tf.float32:
        raise InputError(f"{folder}: expected a float32 input, found {frozen.inputs[0].dtype.name}; export it with one")
    return Network(
        model=SavedModelFloatModel(_up_to_logits(tf, frozen), str(folder)),
        written_by=f"TensorFlow {version}" if version else None,
        files=tuple(sorted(item for item in folder.rglob("*") if item.is_file())),
    )


def _up_to_logits(tf: Any, frozen: Any) -> Any:
    """Return the function that computes what goes into the last softmax, or else the output, and nothing beside it."""
    sink = frozen.outputs[0]
    while sink.op.type in ("Identity", "IdentityN"):
        sink = sink.op.inputs[sink.value_index]
    logits = sink.op.inputs[0] if sink.op.type in ("Softmax", "LogSoftmax") else sink
    graph_def = frozen.graph.as_graph_def()
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    return whole.prune(
        [whole.graph.get_tensor_by_name(frozen.inputs[0].name)], [whole.graph.get_tensor_by_name(logits.name)]
    )
