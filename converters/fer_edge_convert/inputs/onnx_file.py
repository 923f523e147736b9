"""Networks in ONNX, from whatever framework: brought to one form, checked, and without a softmax at the end."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.float_model import Shape
from fer_edge_convert.onnx import folded_onnx
from fer_edge_convert.quiet import require_converters

__all__ = ["Layout", "OnnxFloatModel", "read_onnx"]

Layout = Literal["NHWC", "NCHW"]
Floats = npt.NDArray[np.float32]

# Below 13 weights cannot be quantized per channel; 17 is what other networks are converted to.
_LEAST_OPSET, _OPSET = 13, 17
_OWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_CHANNELS = (1, 3)
_INPUT = "pixels"
_BATCH = 64


class OnnxFloatModel:
    """An ONNX network with one NHWC input and one output of logits."""

    def __init__(self, model: bytes, where: str) -> None:
        self._where = where
        self.onnx = model

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.onnx, options, providers=["CPUExecutionProvider"])

    @property
    def input_shape(self) -> Shape:
        """See FloatModel."""
        return (None, *self._session.get_inputs()[0].shape[1:])

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """See FloatModel."""
        return tuple((None, *output.shape[1:]) for output in self._session.get_outputs())

    @property
    def litert(self) -> bytes:
        """See FloatModel.

        Raises:
            InputError: always; no converter in use goes that way.
        """
        raise InputError(
            f"{self._where}: LiteRT files are made from Keras or TensorFlow; give a .keras file or a SavedModel, or "
            "leave litert out of --to"
        )

    def predict(self, inputs: Floats) -> tuple[Floats, ...]:
        """See FloatModel."""
        parts = [self._session.run(None, {_INPUT: inputs[i : i + _BATCH]}) for i in range(0, len(inputs), _BATCH)]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def read_onnx(path: Path, layout: Layout | None) -> OnnxFloatModel:
    """Read an .onnx file.

    Args:
        path: of the file.
        layout: order of its input's axes; None where the number of channels tells it.

    Raises:
        InputError: it is no network of one input and one output that can be used; the message says why.
        UsageError: its layout cannot be told.
    """
    require_converters()
    import onnx
    from onnx import version_converter

    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; expected an .onnx file") from error
    except Exception as error:  # protobuf's and onnx's errors share no base
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path}: expected an ONNX network, found something else ({reason}); export it again"
        ) from error
    _check_contents(model, path)
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    if opset < _LEAST_OPSET:
        try:
            model = version_converter.convert_version(model, _OPSET)
        except Exception as error:
            raise InputError(
                f"{path}: opset {opset} cannot be raised to {_OPSET}; export it with opset {_OPSET}"
            ) from error
    _free_batch(model, path)
    _to_channels_last(model, path, layout)
    _take_off_softmax(model, path)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    del model.graph.value_info[:]
    try:
        folded = folded_onnx(model.SerializeToString())
        made = OnnxFloatModel(folded, str(path))
        made.predict(np.zeros((2, *(length or 0 for length in made.input_shape[1:])), np.float32))
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: ONNX Runtime cannot run it on two images at once ({reason})") from error
    return made


def _check_contents(model: Any, path: Path) -> None:
    import onnx

    for node in model.graph.node:
        if node.domain not in _OWN_DOMAINS:
            raise InputError(
                f"{path}: expected operators of ONNX, found {node.domain}.{node.op_type} "
                f"({node.name or 'without name'}); export it without"
            )
    if any(item.data_location == onnx.TensorProto.EXTERNAL for item in model.graph.initializer):
        raise InputError(f"{path}: expected weights inside the file, found them in other files; save it as one file")
    inputs = _inputs(model)
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise InputError(
            f"{path}: expected one input and one output, found {len(inputs)} and {len(model.graph.output)}"
        )
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT or len(tensor.shape.dim) != 4:
        raise InputError(
            f"{path}: expected a float32 input of four axes, found "
            f"{onnx.TensorProto.DataType.Name(tensor.elem_type)} of {len(tensor.shape.dim)}"
        )
    if any(axis.dim_value < 1 for axis in list(tensor.shape.dim)[1:]):
        raise InputError(
            f"{path}: expected a fixed height and width, found free ones; export it with the size it is used at"
        )


def _inputs(model: Any) -> list[Any]:
    constants = {item.name for item in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in constants]


def _free_batch(model: Any, path: Path) -> None:
    for edge in (*_inputs(model), *model.graph.output):
        axes = edge.type.tensor_type.shape.dim
        if len(axes):
            axes[0].ClearField("dim_value")
            axes[0].dim_param = "n"
        else:
            raise InputError(f"{path}: expected an output of two axes, found one without")


def _to_channels_last(model: Any, path: Path, layout: Layout | None) -> None:
    """Name the input, and let it be channels last: what was channels first begins with a transposition."""
    from onnx import helper

    (source,) = _inputs(model)
    axes = source.type.tensor_type.shape.dim
    lengths = [axis.dim_value for axis in axes][1:]
    fitting = [name for name, place in (("NCHW", 0), ("NHWC", 2)) if lengths[place] in _CHANNELS]
    if layout is None and len(fitting) == 2:
        raise UsageError(f"{path}: the input {lengths} can be read both ways; say --layout NCHW or --layout NHWC")
    found = layout or (fitting[0] if fitting else None)
    if found is None or found not in fitting:
        raise InputError(
            f"{path}: expected an input with 1 or 3 channels{f', {layout}' if layout else ''}, found {lengths}"
        )
    old = source.name
    inner = old
    if found == "NCHW":
        channels, height, width = lengths
        for axis, length in zip(list(axes)[1:], (height, width, channels), strict=True):
            axis.dim_value = length
        inner = f"{old}_channels_first"
        model.graph.node.insert(0, helper.make_node("Transpose", [_INPUT], [inner], perm=[0, 3, 1, 2]))
    else:
        inner = _INPUT
    source.name = _INPUT
    for node in list(model.graph.node)[found == "NCHW" :]:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = inner


def _take_off_softmax(model: Any, path: Path) -> None:
    """Remove a softmax or log-softmax at the end: what goes into it are logits."""
    graph = model.graph
    (sink,) = graph.output
    last = next((node for node in graph.node if sink.name in node.output), None)
    if last is None:
        raise InputError(f"{path}: nothing computes the output {sink.name}; export it again")
    if last.op_type not in ("Softmax", "LogSoftmax"):
        return
    logits = last.input[0]
    graph.node.remove(last)
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == logits:
                    names[position] = sink.name
