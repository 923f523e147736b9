"""ONNX Runtime on the CPU, and with CUDA or TensorRT on an NVIDIA GPU.

ONNX Runtime goes on with the CPU where a GPU cannot be used, and tells nobody but its log. Here that is an error: who
asks for a GPU, and `fer-edge tune`, which measures it, must not be given something else.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from typing import Any, ClassVar

from fer_edge.engines.base import Array, EngineOptions, Session, TensorSpec, check_arrays
from fer_edge.errors import EngineError, MissingExtraError

__all__ = ["OnnxCudaEngine", "OnnxEngine", "OnnxTensorRtEngine"]

_ERRORS_ONLY = 3  # ONNX Runtime's log severity
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}
# y = Identity(x) for one text, opset 13: no provider of a GPU takes texts, so nothing is compiled for it.
_SMALLEST_MODEL = (
    b'\x08\x07:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01g'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x08\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x08\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


class OnnxEngine:
    """Runs .onnx files.

    Attributes:
        name: under which a bundle has its files.
    """

    name = "onnx"
    _label: ClassVar[str] = "onnx"
    # In order of preference: what the first cannot run, the next one does.
    _providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)

    def __init__(self) -> None:
        # From 1.29 on, importing onnxruntime starts telemetry unless this is set before; the library's own call to
        # switch it off came too late.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError(
                f'the engine {self._label} cannot be imported ({error}); pip install "fer-edge[onnx]"'
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
            raise EngineError(f"{self._label}: expected one file, found a model with separate weights")
        if options.reference_kernels:
            raise EngineError(
                f"{self._label}: ONNX Runtime has no reference kernels to choose; leave reference_kernels off"
            )
        return _OnnxSession(self._open(model, options.threads), self._label)

    def _open(self, model: bytes, threads: int) -> Any:
        """Return a session of onnxruntime that runs on the first of the providers.

        Raises:
            EngineError: the model cannot be loaded, or the session would run elsewhere.
        """
        settings = self._module.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _ERRORS_ONLY
        # Idle workers would spin between frames and eat the camera's other work.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = self._session(model, settings)
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            raise EngineError(f"{self._label} cannot load the model: {' '.join(str(error).split())}") from error
        found = session.get_providers()
        if found[:1] != [self._providers[0]]:
            raise EngineError(f"{self._label}: expected a session on {self._providers[0]}, found {', '.join(found)}")
        return session

    def _session(self, model: bytes, settings: Any) -> Any:
        return self._module.InferenceSession(model, settings, providers=list(self._providers))


class _GpuEngine(OnnxEngine):
    """Runs .onnx files on a GPU."""

    _needs: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        wanted, offered = self._providers[0], self._module.get_available_providers()
        if wanted not in offered:
            raise MissingExtraError(
                f"the engine {self._label} needs an ONNX Runtime with {wanted}, found one with {', '.join(offered)}; "
                "install onnxruntime-gpu in place of onnxruntime, on a Jetson NVIDIA's build of it"
            )
        # That it was built in does not say that its libraries and a GPU are here. A session tells, whatever its model.
        try:
            self._open(_SMALLEST_MODEL, threads=1)
        except EngineError as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise MissingExtraError(
                f"the engine {self._label} cannot be started ({reason}); "
                f"install {self._needs} that onnxruntime {self._module.__version__} was built for"
            ) from error

    def version(self) -> str:
        """Return the version of onnxruntime, after its name, and what runs the models."""
        return f"{super().version()} on {self._providers[0].removesuffix('ExecutionProvider')}"

    def _session(self, model: bytes, settings: Any) -> Any:
        # Releases before 1.23 try again without the GPU all the same, and print that where results belong.
        with redirect_stdout(sys.stderr):
            return self._module.InferenceSession(
                model, settings, providers=list(self._providers), enable_fallback=False
            )


class OnnxCudaEngine(_GpuEngine):
    """Runs .onnx files with CUDA; what CUDA has no kernel for runs on the CPU."""

    _label = "onnx-cuda"
    _providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
    _needs = "the CUDA and cuDNN"


class OnnxTensorRtEngine(_GpuEngine):
    """Runs .onnx files with TensorRT; what it does not take runs with CUDA, and what that does not on the CPU.

    TensorRT compiles a model when it first runs: seconds to minutes. ONNX Runtime keeps the result where its
    own variables ORT_TENSORRT_ENGINE_CACHE_ENABLE=1 and ORT_TENSORRT_CACHE_PATH say so; nobody checks those files.
    """

    _label = "onnx-tensorrt"
    _providers = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    _needs = "the TensorRT, CUDA and cuDNN"


class _OnnxSession:
    def __init__(self, session: Any, label: str) -> None:
        self._session = session
        self._label = label
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        check_arrays(arrays, self.inputs)
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        try:
            return tuple(self._session.run(self._output_names, feed))
        except Exception as error:
            raise EngineError(f"{self._label} failed: {' '.join(str(error).split())}") from error


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(
        name=node.name,
        shape=tuple(n if isinstance(n, int) else None for n in node.shape),
        dtype=_DTYPES.get(node.type, node.type),
    )
