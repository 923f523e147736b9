"""In which form and precision each engine gets MTCNN's three networks, as measured in docs/mtcnn-int8.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.litert import to_litert_float32
from fer_edge_convert.onnx import to_onnx_float32
from fer_edge_convert.prelu import fuse_prelu
from fer_edge_convert.quiet import quiet_tensorflow
from fer_edge_convert.recipe import VariantRecipe

__all__ = ["DETECTOR_RECIPES", "PRELU_FORMS", "DetectorNetwork", "PreluForm", "StageRecipe"]

PreluForm = Literal["one node", "five nodes"]
# OpenVINO fuses a PRelu node with the convolution before it. ONNX Runtime runs it slower than the five nodes that
# tf2onnx writes. LiteRT has its own PRELU and never sees the .onnx.
PRELU_FORMS: Mapping[str, PreluForm] = {"litert": "one node", "onnx": "five nodes", "openvino": "one node"}

_FREE_SIDE_PX = 12  # P-Net's field: the smallest picture that it gives an answer for


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecipe:
    """How one engine gets one network.

    Attributes:
        precision: that `fer-edge convert --detector … --int8` writes.
        quantization: how int8 is made; unused in other precisions.
    """

    precision: str
    quantization: VariantRecipe = field(default_factory=VariantRecipe)


_INT8 = StageRecipe(precision="int8", quantization=VariantRecipe(method="percentile", bias_correction=True))
# By engine and stage. P-Net's proposals are decided by a margin that eight bits do not hold, and its file is small.
DETECTOR_RECIPES: Mapping[tuple[str, str], StageRecipe] = {
    ("litert", "pnet"): StageRecipe(precision="float16"),
    ("litert", "rnet"): StageRecipe(precision="dynamic-int8"),
    ("litert", "onet"): StageRecipe(precision="dynamic-int8"),
    ("onnx", "pnet"): StageRecipe(precision="float16"),
    ("onnx", "rnet"): _INT8,
    ("onnx", "onet"): _INT8,
    ("openvino", "pnet"): StageRecipe(precision="float16"),
    ("openvino", "rnet"): _INT8,
    ("openvino", "onet"): _INT8,
}


class DetectorNetwork(KerasFloatModel):
    """One of MTCNN's networks in the two files that an engine's variants are made from.

    Args:
        model: keras.Model with one input of any or a fixed size.
        prelu: how the .onnx has each PReLU, of PRELU_FORMS.
    """

    def __init__(self, model: Any, *, prelu: PreluForm) -> None:
        if prelu not in get_args(PreluForm):
            raise ValueError(f"prelu: expected one of {', '.join(get_args(PreluForm))}, found {prelu!r}")
        super().__init__(model)
        self._prelu = prelu

    @cached_property
    def litert(self) -> bytes:
        """See FloatModel; a free height and width say 12 until they are set, for P-Net cannot be run on less."""
        made = to_litert_float32(self._model)
        return made if None not in self.input_shape[1:] else _with_nominal_side(made, _FREE_SIDE_PX)

    @cached_property
    def onnx(self) -> bytes:
        """See FloatModel."""
        made = to_onnx_float32(self._model)
        return fuse_prelu(made) if self._prelu == "one node" else made


def _with_nominal_side(model: bytes, side_px: int) -> bytes:
    """Return a .tflite whose free height and width are `side_px` where nobody sets them.

    TensorFlow writes 1, with which interpreters fail to allocate P-Net before they can be told another size; the
    quantizer's own does so.
    """
    quiet_tensorflow()
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    graph = content.subgraphs[0]
    source = graph.tensors[graph.inputs[0]]
    source.shape = [
        side_px if position in (1, 2) and free == -1 else int(length)
        for position, (length, free) in enumerate(zip(source.shape, source.shapeSignature, strict=True))
    ]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))
