"""A trained network in the two float32 files that every engine's variants are made from."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge_convert.litert import to_litert_float32
from fer_edge_convert.onnx import to_onnx_float32

__all__ = ["FloatModel", "KerasFloatModel", "Shape"]

Floats = npt.NDArray[np.float32]
Shape = tuple[int | None, ...]

_PREDICT_BATCH = 256


class FloatModel(Protocol):
    """A trained network, whatever it was saved as.

    Both files have one input, batch first and channels last, and keep the names of layers. Each is made when it is
    first asked for.
    """

    @property
    def input_shape(self) -> Shape:
        """(None, h, w, c); None where any length is taken."""
        ...

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Of each output, the batch's None first; their last lengths differ."""
        ...

    @property
    def litert(self) -> bytes:
        """A .tflite in float32.

        Raises:
            InputError: the network cannot be made one; the message says why.
        """
        ...

    @property
    def onnx(self) -> bytes:
        """An .onnx in float32, batch normalizations folded into convolutions.

        Raises:
            InputError: the network cannot be made one; the message says why.
        """
        ...

    def predict(self, inputs: Floats) -> tuple[Floats, ...]:
        """Run the network as it was saved, not one of the two files: what they are judged against.

        Args:
            inputs: float32 (n, h, w, c), coded as the network takes them.

        Returns:
            float32, n first, in the order of `output_shapes`.
        """
        ...


class KerasFloatModel:
    """A keras.Model with one input."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def keras_model(self) -> Any:
        """The keras.Model itself."""
        return self._model

    @property
    def input_shape(self) -> Shape:
        """See FloatModel."""
        return tuple(self._model.inputs[0].shape)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """See FloatModel."""
        return tuple(tuple(tensor.shape) for tensor in self._model.outputs)

    @cached_property
    def litert(self) -> bytes:
        """See FloatModel."""
        return to_litert_float32(self._model)

    @cached_property
    def onnx(self) -> bytes:
        """See FloatModel."""
        return to_onnx_float32(self._model)

    def predict(self, inputs: Floats) -> tuple[Floats, ...]:
        """See FloatModel."""
        answers = self._model.predict(inputs, batch_size=_PREDICT_BATCH, verbose=0)
        arrays: tuple[Floats, ...] = tuple(answers) if isinstance(answers, (list, tuple)) else (answers,)
        return arrays
