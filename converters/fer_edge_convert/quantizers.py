"""One network for one engine: in every precision that the engine has, from the same calibration images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fer_edge.engines import TensorSpec
from fer_edge.errors import UsageError
from fer_edge_convert.bias_correction import correct_model
from fer_edge_convert.float_model import FloatModel
from fer_edge_convert.layers import Layer, pick_layers
from fer_edge_convert.litert import (
    LitertPrecision,
    compact_litert,
    litert_layers,
    litert_observer,
    quantize_litert,
)
from fer_edge_convert.litert_means import LitertMeans
from fer_edge_convert.onnx import (
    onnx_layers,
    onnx_observer,
    quantized_onnx_observer,
    to_onnx_float16,
    to_onnx_int8,
)
from fer_edge_convert.onnx_graph import shortened_onnx
from fer_edge_convert.onnx_means import OnnxMeans
from fer_edge_convert.openvino import (
    quantized_openvino_observer,
    to_openvino_float16,
    to_openvino_float32,
    to_openvino_int8,
)
from fer_edge_convert.openvino_xml import compact_xml, packed_xml
from fer_edge_convert.ranges import Histogram, Method, Observer, Range, observe, ranges
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.tensor_errors import TensorError, tensor_errors

__all__ = ["CalibratedModel", "Converted", "Quantizer", "quantizer_for"]

Floats = npt.NDArray[np.float32]
_Made = TypeVar("_Made")

_OBSERVED_AT_ONCE = 50  # images
# Every layer is another pass over them. Half of 700 gave the same divergence within what another draw changes.
_CORRECTION_IMAGES = 350


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Files' bytes, and the tensors where the file format does not carry their scales itself."""

    contents: tuple[bytes, ...]
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None


class CalibratedModel:
    """A float network and what its activations do on the calibration images, each file observed when first needed.

    Args:
        model: the network.
        calibration: float32 (n, h, w, c), coded as the network takes them; None where nothing is calibrated.
        input_range: of all values that a coded pixel can have, so that the input's steps never depend on the images.
    """

    def __init__(self, model: FloatModel, calibration: Floats | None, input_range: Range) -> None:
        self.model = model
        self._calibration = calibration
        self._input_range = input_range
        self._remembered: dict[Hashable, Any] = {}

    @property
    def calibration(self) -> Floats:
        """The calibration images.

        Raises:
            UsageError: there are none.
        """
        if self._calibration is None:
            raise UsageError("int8 needs calibration images; give --calibrate with the training data")
        return self._calibration

    @property
    def correction_images(self) -> Floats:
        """The calibration images that biases are corrected on, evenly spread over all; UsageError: see above."""
        n = len(self.calibration)
        chosen: Floats = self.calibration[np.linspace(0, n - 1, min(_CORRECTION_IMAGES, n)).astype(int)]
        return chosen

    @cached_property
    def _litert_histograms(self) -> dict[str, Histogram]:
        return self._observed(litert_observer(self.model.litert))

    @cached_property
    def _onnx_histograms(self) -> dict[str, Histogram]:
        return self._observed(onnx_observer(self.model.onnx))

    def remembered(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what `make` made when it was first asked for by this key: a correction of biases takes seconds."""
        if key not in self._remembered:
            self._remembered[key] = make()
        made: _Made = self._remembered[key]
        return made

    def litert_ranges(self, method: Method) -> dict[str, Range]:
        """Return the ranges of the .tflite's activations by name."""
        return self._ranges(self._litert_histograms, method)

    def onnx_ranges(self, method: Method) -> dict[str, Range]:
        """Return the ranges of the .onnx's activations by name."""
        return self._ranges(self._onnx_histograms, method)

    def _observed(self, run: Observer) -> dict[str, Histogram]:
        images = self.calibration

        def batches() -> Iterable[Floats]:
            return (images[start : start + _OBSERVED_AT_ONCE] for start in range(0, len(images), _OBSERVED_AT_ONCE))

        return observe(run, batches)

    def _ranges(self, histograms: dict[str, Histogram], method: Method) -> dict[str, Range]:
        # The input is the first that either observer names.
        return {**ranges(histograms, method), next(iter(histograms)): self._input_range}


class Quantizer(Protocol):
    """Makes one engine's files of one network."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that a recipe can keep in float32."""
        ...

    def convert(self, precision: str, recipe: VariantRecipe) -> Converted:
        """Make the files in one of the engine's precisions.

        Raises:
            InputError: the recipe names a layer that the network lacks.
        """
        ...

    def int8_errors(self, recipe: VariantRecipe, images: Floats, /) -> tuple[TensorError, ...]:
        """Compare int8's activations with the float file's on images float32 (n, h, w, c).

        Returns:
            For each activation in order.
        """
        ...


def quantizer_for(engine: str, model: CalibratedModel) -> Quantizer:
    """Return the quantizer of an engine.

    Raises:
        UsageError: nothing converts for it.
    """
    if engine not in _QUANTIZERS:
        raise UsageError(f"nothing converts for the engine {engine!r}; expected one of {', '.join(_QUANTIZERS)}")
    return _QUANTIZERS[engine](model)


class _LitertQuantizer:
    def __init__(self, model: CalibratedModel) -> None:
        self._model = model

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        return litert_layers(self._model.model.litert)

    def convert(self, precision: str, recipe: VariantRecipe) -> Converted:
        source = self._model.model.litert
        if precision == "float32":
            return Converted(contents=(compact_litert(source),))
        return Converted(contents=(compact_litert(self._quantized(precision, recipe)),))

    def int8_errors(self, recipe: VariantRecipe, images: Floats, /) -> tuple[TensorError, ...]:
        made = self._quantized("int8", recipe)
        return tensor_errors(litert_observer(self._model.model.litert), litert_observer(made), images)

    def _quantized(self, precision: str, recipe: VariantRecipe) -> bytes:
        found = None
        if precision in ("int8", "int16"):
            # With int16's 65,536 steps nothing is won by cutting.
            found = self._model.litert_ranges(recipe.method if precision == "int8" else "min-max")
        float_layers = pick_layers(self.layers, recipe.float_layers, f"litert {precision}")

        def quantized(model: bytes) -> bytes:
            return quantize_litert(
                model, cast(LitertPrecision, precision), activation_ranges=found, float_layers=float_layers
            )

        source = self._model.model.litert
        if not (recipe.bias_correction and precision in ("int8", "int16")):
            return quantized(source)

        def corrected() -> bytes:
            return correct_model(LitertMeans, source, quantized(source), self._model.correction_images)

        return quantized(self._model.remembered(("litert", precision, recipe), corrected))


class _OnnxQuantizer:
    def __init__(self, model: CalibratedModel) -> None:
        self._model = model

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        return onnx_layers(self._model.model.onnx)

    def convert(self, precision: str, recipe: VariantRecipe) -> Converted:
        source = self._model.model.onnx
        if precision == "float32":
            return Converted(contents=(shortened_onnx(source),))
        if precision == "float16":
            return Converted(contents=(to_onnx_float16(source),))
        made = to_onnx_int8(
            self._corrected(recipe),
            self._model.onnx_ranges(recipe.method),
            float_layers=pick_layers(self.layers, recipe.float_layers, "onnx int8"),
        )
        return Converted(contents=(made.model,), inputs=(made.input,), outputs=made.outputs)

    def int8_errors(self, recipe: VariantRecipe, images: Floats, /) -> tuple[TensorError, ...]:
        source = self._model.model.onnx
        quantized = quantized_onnx_observer(
            self._corrected(recipe),
            self._model.onnx_ranges(recipe.method),
            float_layers=pick_layers(self.layers, recipe.float_layers, "onnx int8"),
        )
        return tensor_errors(onnx_observer(source), quantized, images)

    def _corrected(self, recipe: VariantRecipe) -> bytes:
        source = self._model.model.onnx

        def corrected() -> bytes:
            made = to_onnx_int8(
                source,
                self._model.onnx_ranges(recipe.method),
                float_layers=pick_layers(self.layers, recipe.float_layers, "onnx int8"),
            )
            return correct_model(OnnxMeans, source, made.model, self._model.correction_images)

        return self._model.remembered(("onnx", "int8", recipe), corrected) if recipe.bias_correction else source


class _OpenVinoQuantizer(_OnnxQuantizer):
    """OpenVINO reads the same .onnx, so its layers are the same."""

    def convert(self, precision: str, recipe: VariantRecipe) -> Converted:
        source = self._model.model.onnx
        if precision == "float32":
            xml, weights = to_openvino_float32(source)
        elif precision == "float16":
            xml, weights = to_openvino_float16(source)
        else:
            xml, weights = self._quantized(recipe)
        return Converted(contents=(packed_xml(compact_xml(xml)), weights))

    def int8_errors(self, recipe: VariantRecipe, images: Floats, /) -> tuple[TensorError, ...]:
        source = self._model.model.onnx
        quantized = quantized_openvino_observer(*self._quantized(recipe), self._model.onnx_ranges(recipe.method))
        return tensor_errors(onnx_observer(source), quantized, images)

    def _quantized(self, recipe: VariantRecipe) -> tuple[bytes, bytes]:
        def quantized() -> tuple[bytes, bytes]:
            return to_openvino_int8(
                self._model.model.onnx,
                self._model.calibration,
                self._model.onnx_ranges(recipe.method),
                float_layers=pick_layers(self.layers, recipe.float_layers, "openvino int8"),
                correction_images=self._model.correction_images if recipe.bias_correction else None,
            )

        return self._model.remembered(("openvino", "int8", recipe), quantized)


_QUANTIZERS: Mapping[str, type[_LitertQuantizer] | type[_OnnxQuantizer]] = {
    "litert": _LitertQuantizer,
    "onnx": _OnnxQuantizer,
    "openvino": _OpenVinoQuantizer,
}
