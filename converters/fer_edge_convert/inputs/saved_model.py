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
from fer_edge_convert.inputs.trust import check_saved_model
from fer_edge_convert.onnx import folded_onnx
from fer_edge_convert.quiet import quiet_tensorflow

__all__ = ["SavedModelFloatModel", "read_saved_model"]

Floats = npt.NDArray[np.float32]

_SIGNATURES = ("serving_default", "serve")
_OPSET = 17
_BATCH = 64


class SavedModelFloatModel:
    """A frozen function of one NHWC input and one output of logits."""

    def __init__(self, function: Any, where: str) -> None:
        self._function = function
        self._where = where

    @property
    def input_shape(self) -> Shape:
        """See FloatModel."""
        return (None, *self._function.inputs[0].shape[1:])

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """See FloatModel."""
        return tuple((None, *output.shape[1:]) for output in self._function.outputs)

    @cached_property
    def litert(self) -> bytes:
        """See FloatModel."""
        tf = quiet_tensorflow()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([self._function])
        try:
            # The converter reports its progress on standard output, which belongs to results.
            with contextlib.redirect_stdout(io.StringIO()):
                data: bytes = converter.convert()
        except Exception as error:
            raise InputError(f"{self._where}: TensorFlow cannot convert it to LiteRT ({_reason(error)})") from error
        return data

    @cached_property
    def onnx(self) -> bytes:
        """See FloatModel."""
        import tf2onnx

        try:
            model, _ = tf2onnx.convert.from_graph_def(
                self._function.graph.as_graph_def(),
                input_names=[self._function.inputs[0].name],
                output_names=[self._function.outputs[0].name],
                opset=_OPSET,
            )
        except Exception as error:
            raise InputError(f"{self._where}: tf2onnx cannot convert it to ONNX ({_reason(error)})") from error
        return folded_onnx(model.SerializeToString())

    def predict(self, inputs: Floats) -> tuple[Floats, ...]:
        """See FloatModel."""
        tf = quiet_tensorflow()
        parts = [self._run(tf.constant(inputs[start : start + _BATCH])) for start in range(0, len(inputs), _BATCH)]
        return (np.concatenate(parts),)

    def _run(self, batch: Any) -> Floats:
        answer = self._function(batch)
        first = answer[0] if isinstance(answer, (list, tuple)) else answer
        logits: Floats = first.numpy()
        return logits


def read_saved_model(folder: Path, *, trust: bool) -> SavedModelFloatModel:
    """Load a SavedModel's serving signature; a softmax at its end is taken off.

    Raises:
        InputError: it cannot be loaded, or has not one input of four axes and one output.
        UsageError: it runs code or touches files and is not trusted.
    """
    tf = quiet_tensorflow()
    check_saved_model(folder, trust=trust)
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        loaded = tf.saved_model.load(str(folder))
        names = list(loaded.signatures)
    except Exception as error:
        raise InputError(f"{folder}: TensorFlow cannot load it ({_reason(error)}); export it again") from error
    signature = next((name for name in _SIGNATURES if name in names), names[0] if len(names) == 1 else None)
    if signature is None:
        raise InputError(
            f"{folder}: expected a signature {' or '.join(_SIGNATURES)}, found {', '.join(names) or 'none'}; "
            "export it with one"
        )
    frozen = convert_variables_to_constants_v2(loaded.signatures[signature])
    if len(frozen.inputs) != 1 or len(frozen.outputs) != 1:
        raise InputError(
            f"{folder}: expected one input and one output, found {len(frozen.inputs)} and {len(frozen.outputs)}"
        )
    return SavedModelFloatModel(_without_softmax(tf, frozen), str(folder))


def _without_softmax(tf: Any, frozen: Any) -> Any:
    """Return the function up to its last softmax's input, or as it is."""
    sink = frozen.outputs[0]
    while sink.op.type in ("Identity", "IdentityN"):
        sink = sink.op.inputs[0]
    if sink.op.type != "Softmax":
        return frozen
    graph_def = frozen.graph.as_graph_def()
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    return whole.prune(
        whole.graph.get_tensor_by_name(frozen.inputs[0].name),
        whole.graph.get_tensor_by_name(sink.op.inputs[0].name),
    )


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
