"""Networks that Keras saved: .keras, and .h5 of its earlier versions."""

from __future__ import annotations

import json
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError
from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.inputs.converter_errors import conversion_errors, one_line
from fer_edge_convert.inputs.network import Network
from fer_edge_convert.inputs.trust import check_h5, check_keras_archive
from fer_edge_convert.quiet import require_converters

__all__ = ["KerasFileModel", "load_keras", "read_keras"]

# keras.layers.Softmax, keras.ops.softmax, keras.ops.log_softmax; the last differs from logits by a constant.
_SOFTMAX_OPERATIONS = ("Softmax", "LogSoftmax")
_SOFTMAX_FUNCTIONS = ("softmax", "log_softmax")


class KerasFileModel(KerasFloatModel):
    """A keras.Model with one input that says in one line why it cannot be converted."""

    def __init__(self, model: Any, where: str) -> None:
        super().__init__(model)
        self._where = where

    @cached_property
    def litert(self) -> bytes:
        """See FloatModel."""
        with conversion_errors(self._where, "LiteRT"):
            return super().litert

    @cached_property
    def onnx(self) -> bytes:
        """See FloatModel."""
        with conversion_errors(self._where, "ONNX"):
            return super().onnx


def read_keras(path: Path, *, trust: bool) -> Network:
    """Load a .keras or .h5 file; a softmax at its end is taken off.

    Raises:
        InputError: Keras cannot load it, or it is no network of one float32 input and one output.
        UsageError: it can hold code and is not trusted.
    """
    model = load_keras(path, trust=trust)
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"{path}: expected one input and one output, found {len(inputs)} and {len(outputs)}")
    if inputs[0].dtype != "float32":
        raise InputError(f"{path}: expected a float32 input, found {inputs[0].dtype}; save it with one")
    return Network(
        model=KerasFileModel(_without_softmax(model), str(path)), written_by=_written_by(path), files=(path,)
    )


def load_keras(path: Path, *, trust: bool) -> Any:
    """Return the keras.Model of a .keras or .h5 file.

    Raises:
        InputError: Keras cannot load it.
        UsageError: it can hold code and is not trusted.
    """
    if path.suffix == ".keras":
        check_keras_archive(path, trust=trust)
    else:
        check_h5(path, trust=trust)
    require_converters()
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:  # a file that Keras cannot read raises anything
        raise InputError(f"{path}: Keras cannot load it ({one_line(error)}); save it again with Keras 3") from error


def _without_softmax(model: Any) -> Any:
    """Return a keras.Model that gives logits where the last operation is a softmax or ends in one.

    Where the softmax is a layer's activation, the layer is changed in place.
    """
    import keras

    output = model.outputs[0]
    last = output._keras_history.operation
    if isinstance(last, keras.layers.Activation):
        is_softmax = _is_softmax(last.activation)
    else:
        is_softmax = type(last).__name__ in _SOFTMAX_OPERATIONS
    if is_softmax:
        output = _inputs_of(output)[0]
    elif isinstance(last, keras.Model):
        output = _without_softmax(last)(_inputs_of(output)[0])
    elif _is_softmax(getattr(last, "activation", None)):
        last.activation = keras.activations.linear
    return keras.Model(model.inputs[0], output, name=model.name)


def _is_softmax(activation: Any) -> bool:
    named = getattr(activation, "__name__", None) in _SOFTMAX_FUNCTIONS
    return named or type(activation).__name__ in _SOFTMAX_OPERATIONS


def _inputs_of(tensor: Any) -> list[Any]:
    """Return what the call that made a tensor was given."""
    history = tensor._keras_history
    inputs: list[Any] = history.operation._inbound_nodes[history.node_index].input_tensors
    return inputs


def _written_by(path: Path) -> str | None:
    """Return what a .keras file states; .h5 files are older than such statements are of use."""
    if path.suffix != ".keras":
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return f"Keras {json.loads(archive.read('metadata.json'))['keras_version']}"
    except (OSError, KeyError, ValueError, TypeError):  # the network was loaded without it
        return None
