"""MTCNN's three networks for each engine: in float32, and in the precisions that docs/mtcnn-int8.md found best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.bundle import Bundle, Manifest, StageSpec
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge_convert.detector_accuracy import DETECTOR_OPTIONS
from fer_edge_convert.detector_calibration import DetectorCalibration, calibration_of_detector
from fer_edge_convert.detector_data import DetectorData
from fer_edge_convert.detector_recipe import DETECTOR_RECIPES, PRELU_FORMS, DetectorNetwork, PreluForm
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.quantizers import CalibratedModel
from fer_edge_convert.recipe import QuantizationRecipe
from fer_edge_convert.source_models import DetectorSource
from fer_edge_convert.variants import MadeVariant, make_variants

__all__ = ["DetectorConversion"]

_OUTPUT_LENGTHS = {"pnet": (1, 4), "rnet": (1, 4), "onet": (1, 4, 10)}
_PIXEL_RANGE = (0.0, 255.0)
_FLOAT = QuantizationRecipe()


class DetectorConversion:
    """Makes the files of a detector.

    Args:
        source: the float networks.
        folder: empty, for the float cascade that shows what the stages are given; removed by the caller.
        data: photos to calibrate on; None where nothing is quantized.
        seed: of what is drawn from the photos.
        say: is told what is being done.
    """

    def __init__(
        self,
        source: DetectorSource,
        folder: Path,
        data: DetectorData | None,
        *,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._source = source
        self._folder = folder
        self._data = data
        self._seed = seed
        self._say = say
        self._networks: dict[tuple[str, PreluForm], DetectorNetwork] = {}

    @cached_property
    def _keras_models(self) -> dict[str, Any]:
        import keras

        return {name: keras.saving.load_model(self._source.paths[name], compile=False) for name in NETWORKS}

    @cached_property
    def float_bundle(self) -> Bundle:
        """The cascade that the others are judged against: LiteRT, float32."""
        stages = {name: _stage(name, self._make(name, [("litert", "float32")]), self._folder) for name in NETWORKS}
        manifest = Manifest(
            name="float-detector",
            version="1",
            licence="MIT",
            labels=("face",),
            stages=stages,
            provenance={},
            calibration={},
            attribution=(),
        )
        (self._folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        return Bundle.open(self._folder)

    @cached_property
    def calibration(self) -> DetectorCalibration | None:
        """What the stages are given on the photos; None without photos."""
        if self._data is None:
            return None
        self._say(f"detector: calibrating on {len(self._data.calibration)} photos")
        return calibration_of_detector(
            self._data.calibration_photos(), self.float_bundle, DETECTOR_OPTIONS, seed=self._seed
        )

    def convert(self, engines: Sequence[str], *, with_float32: bool, folder: Path) -> dict[str, StageSpec]:
        """Write the files of all three networks; return their stages.

        With photos, each engine gets the precisions of DETECTOR_RECIPES first.

        Args:
            engines: to convert for.
            with_float32: make float32 too; it is made in any case without photos.
            folder: to write into.

        Raises:
            InputError: a photo cannot be read, or no photo has a face.
        """
        stages = {}
        for name in NETWORKS:
            made: list[MadeVariant] = []
            for engine in engines:
                wanted = [DETECTOR_RECIPES[engine, name].precision] if self._data else []
                if with_float32 or not wanted:
                    wanted.append("float32")
                self._say(f"{name}: converting to {', '.join(wanted)} for {engine}")
                made += self._make(name, [(engine, precision) for precision in wanted])
            stages[name] = _stage(name, made, folder)
        return stages

    def calibration_json(self, engines: Sequence[str]) -> dict[str, Any]:
        """Return what the networks that need it were calibrated on, as JSON types; empty where none did."""
        stages = [name for name in NETWORKS if any(_is_calibrated(engine, name) for engine in engines)]
        return self.calibration.to_json(stages) if self.calibration and stages else {}

    def recipes_json(self, engines: Sequence[str]) -> dict[str, Any]:
        """Return how the quantized files were made, by engine and stage, as JSON types."""
        return {
            engine: {
                name: {
                    "precision": recipe.precision,
                    **(recipe.quantization.to_json() if _is_calibrated(engine, name) else {}),
                }
                for name in NETWORKS
                for recipe in (DETECTOR_RECIPES[engine, name],)
            }
            for engine in engines
        }

    def _make(self, name: str, variants: Sequence[tuple[str, str]]) -> list[MadeVariant]:
        made = []
        for engine, precision in variants:
            images = None
            recipe = _FLOAT
            if precision == "int8" and self.calibration is not None:
                images = self.calibration.of(name).astype(np.float32)
                recipe = QuantizationRecipe(default=DETECTOR_RECIPES[engine, name].quantization)
            made += make_variants(
                name,
                CalibratedModel(self._network(name, PRELU_FORMS[engine]), images, _PIXEL_RANGE),
                output_lengths=_OUTPUT_LENGTHS[name],
                variants=[(engine, precision)],
                recipe=recipe,
            )
        return made

    def _network(self, name: str, prelu: PreluForm) -> DetectorNetwork:
        if (name, prelu) not in self._networks:
            self._networks[name, prelu] = DetectorNetwork(self._keras_models[name], prelu=prelu)
        return self._networks[name, prelu]


def _is_calibrated(engine: str, name: str) -> bool:
    return DETECTOR_RECIPES[engine, name].precision == "int8"


def _stage(name: str, made: Sequence[MadeVariant], folder: Path) -> StageSpec:
    for item in made:
        for entry, data in zip(item.variant.files(), item.contents, strict=True):
            (folder / entry.file).write_bytes(data)
    return StageSpec(
        name=name,
        colour="bgr",
        pixel_mean=0.0,
        pixel_std=1.0,
        layout="NHWC",
        variants=tuple(item.variant for item in made),
    )
