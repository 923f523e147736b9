"""Networks in ONNX, from whatever framework: brought to one form, checked, and without a softmax at the end."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.float_model import Shape
from fer_edge_convert.inputs.converter_errors import conversion_errors, one_line
from fer_edge_convert.inputs.network import Network
from fer_edge_convert.inputs.trust import check_onnx
from fer_edge_convert.onnx import folded_onnx
from fer_edge_convert.quiet import require_converters

__all__ = ["Layout", "OnnxFloatModel", "read_onnx"]

Layout = Literal["NHWC", "NCHW"]
Floats = npt.NDArray[np.float32]

_OPSET = 17  # as for other networks, see fer_edge_convert.onnx
_IR_VERSION = 8  # of the same age
_DOMAINS = ("", "ai.onnx")
_CHANNELS = (1, 3)
_CHANNELS_LAST = "channels_last"
_BATCH = 64


class OnnxFloatModel:
    """An ONNX network with one NHWC input and one output of logits."""

    def __init__(self, saved: bytes, raised: bytes, shape_hwc: tuple[int, int, int], where: str) -> None:
        """Take the network in the opset that it was saved in, to run, and in the one to convert from."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(saved, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._raised = raised
        self._where = where
        self.input_shape: Shape = (None, *shape_hwc)
        # Files need not state what an output's lengths are.
        (answers,) = self.predict(np.zeros((2, *shape_hwc), np.float32))
        if len(answers) != 2:
            raise InputError(f"{where}: expected an answer for each of 2 images, found {len(answers)}")
        self.output_shapes: tuple[Shape, ...] = ((None, *answers.shape[1:]),)

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

    @cached_property
    def onnx(self) -> bytes:
        """See FloatModel."""
        with conversion_errors(self._where, "ONNX"):
            return folded_onnx(self._raised)

    def predict(self, inputs: Floats) -> tuple[Floats, ...]:
        """See FloatModel."""
        parts = [self._session.run(None, {self._input: inputs[i : i + _BATCH]}) for i in range(0, len(inputs), _BATCH)]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def read_onnx(path: Path, layout: Layout | None) -> Network:
    """Read an .onnx file, and the files beside it that hold its weights.

    Args:
        path: of the file.
        layout: order of its input's axes; None where the number of channels tells it.

    Raises:
        InputError: it is no network of one input and one output that can be used; the message says why.
        UsageError: its layout cannot be told.
    """
    require_converters()
    model, data_files = _load(path)
    source = _check_edges(model, path)
    for edge in (source, model.graph.output[0]):
        _free_batch(edge)
    shape_hwc = _to_channels_last(model, source, layout, path)
    _take_off_softmax(model)
    _name_nodes(model)
    del model.graph.value_info[:]
    try:
        made = OnnxFloatModel(model.SerializeToString(), _raised(model, path).SerializeToString(), shape_hwc, str(path))
    except InputError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base
        raise InputError(
            f"{path}: ONNX Runtime cannot run it on two images at once ({one_line(error)}); export it with a free "
            "batch, in PyTorch with dynamic_axes or dynamic_shapes"
        ) from error
    written_by = f"{model.producer_name} {model.producer_version}".strip() or None
    return Network(model=made, written_by=written_by, files=(path, *data_files))


def _load(path: Path) -> tuple[Any, tuple[Path, ...]]:
    import onnx

    try:
        model = onnx.load_model_from_string(path.read_bytes())
        data_files = check_onnx(model, path)
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; expected an .onnx file") from error
    except Exception as error:  # protobuf's and onnx's errors share no base
        raise InputError(
            f"{path}: expected an ONNX network, found something else ({one_line(error)}); export it again"
        ) from error
    return model, data_files


def _check_edges(model: Any, path: Path) -> Any:
    """Return the graph's one input."""
    import onnx

    constants = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in constants]
    outputs = model.graph.output
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"{path}: expected one input and one output, found {len(inputs)} and {len(outputs)}")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT or len(tensor.shape.dim) != 4:
        raise InputError(
            f"{path}: expected a float32 input of four axes, found "
            f"{onnx.TensorProto.DataType.Name(tensor.elem_type)} of {len(tensor.shape.dim)}"
        )
    # Old exporters list weights among the inputs.
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    if any(axis.dim_value < 1 for axis in tensor.shape.dim[1:]):
        raise InputError(
            f"{path}: expected a fixed height and width, found free ones; export it with the size it is used at"
        )
    return model.graph.input[0]


def _free_batch(edge: Any) -> None:
    axes = edge.type.tensor_type.shape.dim
    if axes:
        axes[0].ClearField("dim_value")
        axes[0].dim_param = "n"


def _to_channels_last(model: Any, source: Any, layout: Layout | None, path: Path) -> tuple[int, int, int]:
    """Let what is channels first begin with a transposition; return height, width and channels."""
    from onnx import helper

    axes = source.type.tensor_type.shape.dim[1:]
    lengths = [axis.dim_value for axis in axes]
    fitting = [name for name, place in (("NCHW", 0), ("NHWC", 2)) if lengths[place] in _CHANNELS]
    if layout is None and len(fitting) == 2:
        raise UsageError(f"{path}: the input {lengths} can be read both ways; say --layout NCHW or --layout NHWC")
    found = layout or (fitting[0] if fitting else None)
    if found not in fitting:
        raise InputError(
            f"{path}: expected an input with 1 or 3 channels{f', {layout}' if layout else ''}, found {lengths}"
        )
    if found == "NHWC":
        height, width, channels = lengths
        return height, width, channels
    channels, height, width = lengths
    for axis, length in zip(axes, (height, width, channels), strict=True):
        axis.dim_value = length
    # The transposition gives what had the input's name, so nothing else has to know of it, graphs inside nodes neither.
    inner, source.name = source.name, f"{source.name}_{_CHANNELS_LAST}"
    model.graph.node.insert(
        0, helper.make_node("Transpose", [source.name], [inner], name=source.name, perm=[0, 3, 1, 2])
    )
    return height, width, channels


def _take_off_softmax(model: Any) -> None:
    """Let the output be what goes into a softmax or log-softmax at the end; the nodes after it are removed."""
    (sink,) = model.graph.output
    makers = {name: node for node in model.graph.node for name in node.output}
    removed, name = [], sink.name
    while name in makers and makers[name].op_type == "Identity":
        removed.append(makers[name])
        name = makers[name].input[0]
    if name in makers and makers[name].op_type in ("Softmax", "LogSoftmax"):
        removed.append(makers[name])
        sink.name = makers[name].input[0]
        for node in removed:
            model.graph.node.remove(node)


def _raised(model: Any, path: Path) -> Any:
    """Return the model in the opset that all networks are converted from."""
    from onnx import version_converter

    opset = next(item.version for item in model.opset_import if item.domain in _DOMAINS)
    if opset == _OPSET:
        raised = type(model)()
        raised.CopyFrom(model)
    else:
        try:
            raised = version_converter.convert_version(model, _OPSET)
        except Exception as error:
            raise InputError(
                f"{path}: expected opset {_OPSET}, found {opset}, which cannot be converted "
                f"({one_line(error).split('failed: ')[-1]}); export it with opset {_OPSET}"
            ) from error
    raised.ir_version = min(raised.ir_version, _IR_VERSION)
    _name_nodes(raised)  # those that the conversion put in
    return raised


def _name_nodes(model: Any) -> None:
    """Give a name to each node that has none of its own."""
    taken = Counter(node.name for node in model.graph.node)
    for index, node in enumerate(model.graph.node):
        if not node.name or taken[node.name] > 1:
            node.name = f"{node.op_type}_{index}"
