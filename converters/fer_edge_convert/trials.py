"""Quantizes a network one way or another and tells how far its answers move: what sensitivity and search rest on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.classifier import softmax
from fer_edge.engines import EngineOptions, load_engine
from fer_edge.files import atomic_path
from fer_edge.preprocess import PixelCoding
from fer_edge_convert.layers import Layer
from fer_edge_convert.measuring import mean_divergence
from fer_edge_convert.quantizers import CalibratedModel, Quantizer, quantizer_for
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.variants import MadeVariant, describe_variant
from fer_edge_train.datasets import FaceSet

__all__ = ["LayerSensitivity", "Trial", "Trials", "layer_sensitivities"]

_BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one way to quantize gives on the selection faces.

    Attributes:
        divergence: mean Kullback-Leibler divergence of the probabilities from the network's, in nats.
        agreement: share of faces that get the network's label, 0 to 1.
        drop_points: top-1 lost against the network, in points.
        n_bytes: of the files.
    """

    divergence: float
    agreement: float
    drop_points: float
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSensitivity:
    """What is won by leaving one layer in float32.

    Attributes:
        layer: which.
        trial: with that layer alone in float32.
        gain: the divergence that goes away, in nats; negative where it grows.
    """

    layer: Layer
    trial: Trial
    gain: float


class Trials:
    """Tries recipes on faces that neither calibrate nor judge.

    Args:
        model: the network and its calibration.
        coding: of its pixels.
        faces: training faces that are not calibration's.
        memory: a file that keeps what was tried, so that an interrupted search goes on; None for none. It is of one
            network and data: the caller names it so.
        say: told of each new trial.
    """

    def __init__(
        self,
        model: CalibratedModel,
        coding: PixelCoding,
        faces: FaceSet,
        *,
        memory: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._coding = coding
        self._faces = faces
        self._probs = softmax(model.model.predict(coding.encode(faces.images))[0])
        self._memory = memory
        self._say = say
        self._quantizers: dict[str, Quantizer] = {}
        self._known: dict[str, Trial] = {}
        if memory is not None and memory.is_file():
            self._known = _remembered(memory)
            if not self._known:
                say(f"{memory} holds no trials that can be read; the search begins anew")

    def quantizer(self, engine: str) -> Quantizer:
        """Return the engine's quantizer, the same each time: it keeps what it observed."""
        if engine not in self._quantizers:
            self._quantizers[engine] = quantizer_for(engine, self._model)
        return self._quantizers[engine]

    def run(self, engine: str, precision: str, recipe: VariantRecipe) -> Trial:
        """Quantize, run and compare, unless it was done before.

        Raises:
            EngineError: the engine cannot run what was made.
        """
        key = json.dumps([engine, precision, recipe.to_json()])
        if key not in self._known:
            self._known[key] = self._try(engine, precision, recipe)
            self._remember()
        found = self._known[key]
        in_float = f", {len(recipe.float_layers)} layers in float32" if recipe.float_layers else ""
        corrected = ", biases corrected" if recipe.bias_correction else ""
        self._say(
            f"tried {engine} {precision}, {recipe.method}{in_float}{corrected}: divergence {found.divergence:.5f}, "
            f"same label {100 * found.agreement:.1f} %, {found.n_bytes} bytes"
        )
        return found

    def _try(self, engine: str, precision: str, recipe: VariantRecipe) -> Trial:
        converted = self.quantizer(engine).convert(precision, recipe)
        model = self._model.model
        made = describe_variant(
            "trial", engine, precision, converted, model, (model.output_shapes[0][-1] or 0,), recipe
        )
        probs = softmax(_answers(made, self._coding, self._faces.images))
        labels = self._faces.label_indices
        return Trial(
            divergence=mean_divergence(self._probs, probs),
            agreement=float((probs.argmax(axis=1) == self._probs.argmax(axis=1)).mean()),
            drop_points=100
            * float((self._probs.argmax(axis=1) == labels).mean() - (probs.argmax(axis=1) == labels).mean()),
            n_bytes=sum(map(len, converted.contents)),
        )

    def _remember(self) -> None:
        if self._memory is None:
            return
        content = {key: asdict(trial) for key, trial in self._known.items()}
        with atomic_path(self._memory) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def layer_sensitivities(
    trials: Trials, engine: str, precision: str, recipe: VariantRecipe
) -> tuple[LayerSensitivity, ...]:
    """Leave one layer after the other in float32; return them by what that wins, most first.

    Biases are not corrected meanwhile: that takes longer than everything else, and helps with all layers.
    """
    recipe = replace(recipe, bias_correction=False)
    base = trials.run(engine, precision, recipe).divergence
    found = []
    for layer in trials.quantizer(engine).layers:
        kept = tuple(sorted({*recipe.float_layers, layer.label}))
        trial = trials.run(engine, precision, replace(recipe, float_layers=kept))
        found.append(LayerSensitivity(layer=layer, trial=trial, gain=base - trial.divergence))
    return tuple(sorted(found, key=lambda item: -item.gain))


def _remembered(memory: Path) -> dict[str, Trial]:
    """Read what was tried; nothing where a file is damaged, as it only saves time."""
    try:
        content = json.loads(memory.read_bytes())
        found = {str(key): Trial(**values) for key, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    numbers = [value for trial in found.values() for value in asdict(trial).values()]
    return found if all(isinstance(value, (int, float)) and math.isfinite(value) for value in numbers) else {}


def _answers(made: MadeVariant, coding: PixelCoding, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    variant = made.variant
    source = variant.inputs[0]
    stored = PixelCoding(
        mean=coding.mean, std=coding.std, dtype=source.dtype, scale=source.scale, zero_point=source.zero_point
    )
    sessions: dict[int, Any] = {}
    parts: list[npt.NDArray[np.float32]] = []
    for batch in _batches(images):
        if len(batch) not in sessions:
            sessions[len(batch)] = load_engine(variant.engine).load(
                made.contents[0],
                EngineOptions(input_shapes=(batch.shape,)),
                weights=made.contents[1] if len(made.contents) > 1 else None,
            )
        (answer,) = sessions[len(batch)].run(stored.encode(batch))
        parts.append(variant.outputs[0].dequantize(answer))
    return np.concatenate(parts)


def _batches(images: npt.NDArray[np.uint8]) -> Sequence[npt.NDArray[np.uint8]]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
