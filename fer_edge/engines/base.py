"""What an inference engine must offer: load checked bytes, run arrays through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge.errors import EngineError

__all__ = ["Engine", "EngineOptions", "Session", "TensorSpec", "check_arrays"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: as the model's file gives it.
        shape: a length for each axis, None where any length is taken.
        dtype: "float32", "uint8", "int8" …
        scale, zero_point: real value = (stored - zero_point) * scale; None where the tensor is not quantized.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def dequantize(self, stored: Array) -> npt.NDArray[np.float32]:
        """Return the real values of a stored tensor; float32 tensors come back as they are."""
        if self.scale is None or self.zero_point is None:
            return stored.astype(np.float32, copy=False)
        return (stored.astype(np.int32) - self.zero_point).astype(np.float32) * np.float32(self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How a session shall run.

    Attributes:
        threads: at most this many, the calling one included.
        input_shapes: fixed lengths for every axis of each input; None keeps those of the file. A session that is made
            for one shape takes that shape alone.
        reference_kernels: use the engine's plain kernels instead of its fast ones, to referee between machines
            (LiteRT only; other engines refuse it).
    """

    threads: int = 1
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    reference_kernels: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads: expected 1 or more, found {self.threads}")


class Session(Protocol):
    """A loaded model. Not safe for use by two threads at once."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """Run one array for each input, in order; return one for each output, owned by the caller.

        Raises:
            EngineError: an array's shape or dtype is not the input's, or the engine fails.
        """
        ...


class Engine(Protocol):
    """A library that runs models."""

    name: str

    def version(self) -> str:
        """Return the library's version."""
        ...

    def load(self, model: bytes, options: EngineOptions, *, weights: bytes | None = None) -> Session:
        """Make a session from a model's bytes, whose digest the caller has checked.

        Args:
            model: the model's file.
            options: how to run it.
            weights: the second file of a two-file format (OpenVINO's .bin).

        Raises:
            EngineError: the engine cannot use the bytes or the options.
        """
        ...


def check_arrays(arrays: tuple[Array, ...], inputs: tuple[TensorSpec, ...]) -> None:
    """Compare arrays with the inputs they are meant for.

    Raises:
        EngineError: their number, a shape or a dtype differs.
    """
    if len(arrays) != len(inputs):
        raise EngineError(f"expected {len(inputs)} input arrays, found {len(arrays)}")
    for array, spec in zip(arrays, inputs, strict=True):
        fits = array.ndim == len(spec.shape) and all(
            want is None or want == have for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or array.dtype != spec.dtype:
            raise EngineError(
                f"input {spec.name}: expected {spec.dtype} {spec.shape}, found {array.dtype} {array.shape}"
            )
