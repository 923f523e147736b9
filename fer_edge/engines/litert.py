"""LiteRT (TFLite) through ai-edge-litert, or through an installed tflite-runtime where that is missing.

`CompiledModel.from_file` of ai-edge-litert crashed the process on most truncated files; `Interpreter(model_content=…)`
on none, so this is what is used.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from fer_edge.engines.base import Array, EngineOptions, Session, TensorSpec, check_arrays
from fer_edge.errors import EngineError, MissingExtraError

__all__ = ["LiteRTEngine"]


class LiteRTEngine:
    """Runs .tflite files."""

    name = "litert"

    def __init__(self) -> None:
        self._module, self._distribution = _import_interpreter()

    def version(self) -> str:
        """Return the version of the distribution in use, after its name."""
        from importlib.metadata import version  # 3 MB that inference does not need

        return f"{self._distribution} {version(self._distribution)}"

    def load(self, model: bytes, options: EngineOptions, *, weights: bytes | None = None) -> Session:
        """See Engine.load; a .tflite is one file, so `weights` must be None."""
        if weights is not None:
            raise EngineError("litert: expected one file, found a model with separate weights")
        arguments: dict[str, Any] = {"model_content": model, "num_threads": options.threads}
        if options.reference_kernels:
            arguments["experimental_op_resolver_type"] = self._module.OpResolverType.BUILTIN_REF
        try:
            interpreter = self._module.Interpreter(**arguments)
            if options.input_shapes is not None:
                for detail, shape in zip(interpreter.get_input_details(), options.input_shapes, strict=True):
                    if tuple(detail["shape"]) != shape:
                        interpreter.resize_tensor_input(detail["index"], shape)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"litert cannot load the model: {_one_line(error)}") from error
        return _LiteRTSession(interpreter)


class _LiteRTSession:
    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        input_details = interpreter.get_input_details()
        output_details = interpreter.get_output_details()
        self.inputs = tuple(_spec(detail) for detail in input_details)
        self.outputs = tuple(_spec(detail) for detail in output_details)
        self._input_indices = [detail["index"] for detail in input_details]
        self._output_indices = [detail["index"] for detail in output_details]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        check_arrays(arrays, self.inputs)
        try:
            for index, array in zip(self._input_indices, arrays, strict=True):
                self._interpreter.set_tensor(index, array)
            self._interpreter.invoke()
            return tuple(self._interpreter.get_tensor(index) for index in self._output_indices)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"litert failed: {_one_line(error)}") from error


def _import_interpreter() -> tuple[ModuleType, str]:
    try:
        from ai_edge_litert import interpreter
    except ImportError as first_error:
        try:
            from tflite_runtime import interpreter as old_interpreter
        except ImportError:
            raise MissingExtraError(
                f'the engine litert cannot be imported ({_one_line(first_error)}); pip install "fer-edge[litert]"'
            ) from first_error
        return old_interpreter, "tflite-runtime"
    return interpreter, "ai-edge-litert"


def _spec(detail: dict[str, Any]) -> TensorSpec:
    dtype = np.dtype(detail["dtype"]).name
    scale, zero_point = detail["quantization"]
    quantized = dtype in ("int8", "uint8", "int16") and scale > 0
    return TensorSpec(
        name=detail["name"],
        shape=tuple(int(n) for n in detail["shape"]),
        dtype=dtype,
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
