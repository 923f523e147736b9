"""A Keras network to one engine's file in one precision, described as the manifest wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import FileEntry, Variant
from fer_edge.engines import Engine, EngineOptions, TensorSpec, load_engine
from fer_edge.errors import UsageError
from fer_edge.files import sha256_hex
from fer_edge_convert.litert import to_litert_float32, to_litert_int8
from fer_edge_convert.onnx import to_onnx_float32, to_onnx_int8
from fer_edge_convert.openvino import to_openvino_float32, to_openvino_int8

__all__ = ["PRECISIONS", "MadeVariant", "make_variants"]

Floats = npt.NDArray[np.float32]

PRECISIONS = ("int8", "float32")
# Recipe names after ai-edge-quantizer: how, bits of weights, bits of activations.
_INT8_RECIPE = "static_wi8_ai8"
_SUFFIXES = {"litert": ("tflite",), "onnx": ("onnx",), "openvino": ("xml", "bin")}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVariant:
    """A variant and the bytes of its files, in the order of Variant.files()."""

    variant: Variant
    contents: tuple[bytes, ...]


def make_variants(
    stage: str,
    model: Any,
    *,
    output_lengths: Sequence[int],
    engines: Sequence[str],
    precisions: Sequence[str],
    calibration: Floats | None,
) -> list[MadeVariant]:
    """Convert a keras.Model for each engine and precision, in that order.

    Args:
        stage: name of the stage, the beginning of the files' names.
        model: one input "pixels"; each output has another last length.
        output_lengths: the outputs' last lengths in the order that the stage's code takes them.
        engines: of "litert", "onnx", "openvino".
        precisions: of PRECISIONS; the first is the preferred one.
        calibration: float32 (n, h, w, c) of network inputs; needed for int8.

    Raises:
        UsageError: int8 without calibration, or an engine that nothing converts for.
    """
    if "int8" in precisions and calibration is None:
        raise UsageError("int8 needs calibration images; give --calibrate with the training data")
    for name in engines:
        if name not in _SUFFIXES:
            raise UsageError(f"nothing converts for the engine {name!r}; expected one of {', '.join(_SUFFIXES)}")
    model_onnx = to_onnx_float32(model) if {"onnx", "openvino"} & set(engines) else b""
    made = []
    for name in engines:
        engine = load_engine(name)
        for precision in precisions:
            converted = _convert(name, precision, model, model_onnx, calibration)
            made.append(_describe(stage, engine, precision, converted, model, output_lengths))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Converted:
    """Files' bytes, and the tensors where the file format does not carry their scales itself."""

    contents: tuple[bytes, ...]
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None


def _convert(engine: str, precision: str, model: Any, model_onnx: bytes, calibration: Floats | None) -> _Converted:
    images = calibration if precision == "int8" else None
    if engine == "litert":
        return _Converted(contents=(to_litert_float32(model) if images is None else to_litert_int8(model, images),))
    if engine == "openvino":
        return _Converted(
            contents=to_openvino_float32(model_onnx) if images is None else to_openvino_int8(model_onnx, images)
        )
    if images is None:
        return _Converted(contents=(model_onnx,))
    quantized = to_onnx_int8(model_onnx, images)
    return _Converted(contents=(quantized.model,), inputs=(quantized.input,), outputs=quantized.outputs)


def _describe(
    stage: str,
    engine: Engine,
    precision: str,
    converted: _Converted,
    model: Any,
    output_lengths: Sequence[int],
) -> MadeVariant:
    """Name the files, and read the tensors' specifications from the engine that will run them."""
    contents = converted.contents
    free_shape = tuple(model.inputs[0].shape)
    # Any concrete shape will do to load the file; P-Net's free height and width need at least its 12 px field.
    concrete = (1, *(length or 12 for length in free_shape[1:]))
    session = engine.load(
        contents[0], EngineOptions(input_shapes=(concrete,)), weights=contents[1] if len(contents) > 1 else None
    )
    entries = [
        FileEntry(file=f"{stage}_{precision}.{suffix}", bytes=len(data), sha256=sha256_hex(data))
        for suffix, data in zip(_SUFFIXES[engine.name], contents, strict=True)
    ]
    # Converters reorder and rename outputs; each is known by its last length, and gets its free shape back.
    found = {spec.shape[-1]: spec for spec in converted.outputs or session.outputs}
    free = {tensor.shape[-1]: tuple(tensor.shape) for tensor in model.outputs}
    variant = Variant(
        engine=engine.name,
        precision=precision,
        model=entries[0],
        weights=entries[1] if len(entries) > 1 else None,
        inputs=tuple(replace(spec, shape=free_shape) for spec in converted.inputs or session.inputs),
        outputs=tuple(replace(found[length], shape=free[length]) for length in output_lengths),
        tested_with=engine.version(),
        recipe=_INT8_RECIPE if precision == "int8" else None,
    )
    return MadeVariant(variant=variant, contents=contents)
