"""OpenVINO on the CPU."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from operator import is_not
from typing import Any

import numpy as np

from fer_edge.engines.base import Array, EngineOptions, Session, TensorSpec, check_arrays
from fer_edge.errors import EngineError, MissingExtraError

__all__ = ["OpenVinoEngine"]

_TELEMETRY_MODULE = "openvino_telemetry"
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_GRAPH_BYTES = 1 << 26  # of an .xml: a thousand layers take a megabyte


class OpenVinoEngine:
    """Runs OpenVINO's two-file models, .xml (or .xml.gz) with .bin."""

    name = "openvino"

    def __init__(self) -> None:
        # Importing openvino sends telemetry where this module can be imported; None in sys.modules makes that import
        # fail, which openvino takes for "not installed".
        sys.modules.setdefault(_TELEMETRY_MODULE, None)  # type: ignore[arg-type]
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError(
                f'the engine openvino cannot be imported ({error}); pip install "fer-edge[openvino]"'
            ) from error
        self._module: Any = openvino
        self._core = openvino.Core()

    def version(self) -> str:
        """Return the version of openvino, after its name."""
        from importlib.metadata import version  # 3 MB that inference does not need

        return f"openvino {version('openvino')}"

    def load(self, model: bytes, options: EngineOptions, *, weights: bytes | None = None) -> Session:
        """See Engine.load; `weights` are the bytes of the .bin file."""
        if weights is None:
            raise EngineError("openvino: expected the weights (.bin) beside the model (.xml), found none")
        if options.reference_kernels:
            raise EngineError("openvino: there are no reference kernels to choose; leave reference_kernels off")
        settings = {
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # On processors with bfloat16 units OpenVINO would compute in that by itself and give other answers.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if model.startswith(_GZIP_MAGIC):
            model = _inflated(model)
        try:
            graph = self._core.read_model(model=model, weights=weights)
            if options.input_shapes is not None:
                graph.reshape(dict(zip(graph.inputs, options.input_shapes, strict=True)))
            compiled = self._core.compile_model(graph, "CPU", settings)
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError(f"openvino cannot load the model: {' '.join(str(error).split())}") from error
        return _OpenVinoSession(compiled, self._module.Tensor)


class _OpenVinoSession:
    """A compiled graph and its one request.

    Given arrays, the request's own `infer` makes a tensor of each and a dictionary of results every time, which cost
    0.12 ms of the 0.56 ms of a small classifier. A caller that hands over the same buffers again has them bound once.
    """

    def __init__(self, compiled: Any, tensor: Callable[..., Any]) -> None:
        self._request = compiled.create_infer_request()
        self._tensor = tensor
        self._bound: tuple[Array, ...] = ()
        self._views: tuple[Array, ...] = ()
        # The request does not keep the arrays alive whose memory it reads.
        self._shared: tuple[Array, ...] = ()
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        is_new = not self._bound or len(self._bound) != len(arrays) or any(map(is_not, arrays, self._bound))
        if is_new:  # what is bound has been checked
            check_arrays(arrays, self.inputs)
        try:
            if is_new:
                self._bind(arrays)
            self._request.infer(share_outputs=True)
            return tuple(view.copy() for view in self._views or self._look())
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError(f"openvino failed: {' '.join(str(error).split())}") from error

    def _look(self) -> tuple[Array, ...]:
        """Return the outputs as they lie in the request's memory; where their shapes are fixed they stay there."""
        views = tuple(self._request.get_output_tensor(i).data for i in range(len(self.outputs)))
        if all(None not in spec.shape for spec in self.outputs):
            self._views = views
        return views

    def _bind(self, arrays: tuple[Array, ...]) -> None:
        # What may not be written to, or lies in memory with gaps, cannot be shared: its copy serves this one run.
        shareable = [array.flags.writeable and array.flags.c_contiguous for array in arrays]
        self._shared = tuple(
            array if can else np.array(array, order="C") for array, can in zip(arrays, shareable, strict=True)
        )
        for index, array in enumerate(self._shared):
            self._request.set_input_tensor(index, self._tensor(array, shared_memory=True))
        self._bound = arrays if all(shareable) else ()


def _inflated(data: bytes) -> bytes:
    """Return what a gzip file holds, no more of it than a graph can have."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(data, _MAX_GRAPH_BYTES)
    except zlib.error as error:
        raise EngineError(f"openvino cannot load the model: its .xml.gz is damaged ({error})") from error
    if not stream.eof:
        raise EngineError(
            f"openvino cannot load the model: its .xml.gz is cut off or holds more than {_MAX_GRAPH_BYTES} bytes"
        )
    return content


def _spec(port: Any) -> TensorSpec:
    return TensorSpec(
        name=port.any_name,
        shape=tuple(axis.get_length() if axis.is_static else None for axis in port.partial_shape),
        dtype=np.dtype(port.element_type.to_dtype()).name,
    )
