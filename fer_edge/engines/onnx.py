"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from typing import Any

from fer_edge.engines.base import Array, EngineOptions, Session, TensorSpec, check_arrays
from fer_edge.errors import EngineError, MissingExtraError

__all__ = ["OnnxEngine"]

_ERRORS_ONLY = 3  # ONNX Runtime's log severity
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


class OnnxEngine:
    """Runs .onnx files."""

    name = "onnx"

    def __init__(self) -> None:
        # From 1.29 on, importing onnxruntime starts telemetry unless this is set before; the library's own call to
        # switch it off came too late.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError(
                f'the engine onnx cannot be imported ({error}); pip install "fer-edge[onnx]"'
            ) from error
        self._module: Any = onnxruntime
        # It warns on standard error when it finds no GPU to list.
        onnxruntime.set_default_logger_severity(_ERRORS_ONLY)

    def version(self) -> str:
        """Return the version of onnxruntime, after its name."""
        return f"onnxruntime {self._module.__version__}"

    def load(self, model: bytes, options: EngineOptions, *, weights: bytes | None = None) -> Session:
        """See Engine.load; the models take any length on free axes, so `input_shapes` needs no work here."""
        if weights is not None:
            raise EngineError("onnx: expected one file, found a model with separate weights")
        if options.reference_kernels:
            raise EngineError("onnx: ONNX Runtime has no reference kernels to choose; leave reference_kernels off")
        settings = self._module.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _ERRORS_ONLY
        # Idle workers would spin between frames and eat the camera's other work.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = self._module.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            raise EngineError(f"onnx cannot load the model: {' '.join(str(error).split())}") from error
        return _OnnxSession(session)


class _OnnxSession:
    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        check_arrays(arrays, self.inputs)
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        try:
            return tuple(self._session.run(self._output_names, feed))
        except Exception as error:
            raise EngineError(f"onnx failed: {' '.join(str(error).split())}") from error


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(
        name=node.name,
        shape=tuple(n if isinstance(n, int) else None for n in node.shape),
        dtype=_DTYPES.get(node.type, node.type),
    )
