"""Networks that Keras saved: .keras, and .h5 of its earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_edge.errors import InputError
from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.inputs.trust import check_h5, check_keras_archive

__all__ = ["read_keras", "without_softmax"]


def read_keras(path: Path, *, trust: bool) -> KerasFloatModel:
    """Load a .keras or .h5 file; a softmax at its end is taken off.

    Raises:
        InputError: Keras cannot load it.
        UsageError: it can hold code and is not trusted.
    """
    if path.suffix == ".keras":
        check_keras_archive(path, trust=trust)
    else:
        check_h5(path, trust=trust)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:  # a file that Keras cannot read raises anything
        raise InputError(f"{path}: Keras cannot load it ({_first_line(error)}); save it again with Keras 3") from error
    return KerasFloatModel(without_softmax(model))


def without_softmax(model: Any) -> Any:
    """Return a keras.Model that gives logits where its last layer is a softmax or ends in one; changed in place."""
    import keras

    last = model.outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and last.activation is keras.activations.softmax
    ):
        return keras.Model(model.inputs, last.input, name=model.name)
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return model


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:300]
