"""A trained enhancer, applied to faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge.preprocess import PixelCoding
from fer_edge_train.backend import import_keras
from fer_edge_train.datasets import FaceSet
from fer_edge_train.model_folder import RECORD_NAME, check_file, read_record
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD

__all__ = ["ENHANCER_CODING", "ENHANCER_RECORD_SCHEMA", "Enhancer", "fastest_data_format", "restore"]

Pixels = npt.NDArray[np.uint8]

ENHANCER_RECORD_SCHEMA = "fer-edge/enhancer-record/1"
ENHANCER_CODING = PixelCoding(mean=PIXEL_MEAN, std=PIXEL_STD)
_BATCH = 64


def fastest_data_format() -> str:
    """Return Keras' data format in which convolutions are fastest on the backend in use (torch: channels first)."""
    return "channels_first" if import_keras().backend.backend() == "torch" else "channels_last"


def restore(model: Any, images: Pixels, data_format: str) -> Pixels:
    """Return what an FFA-Net of a data format makes of uint8 (n, h, w, c), as pixels again."""
    import keras

    restored = np.empty_like(images)
    for start in range(0, len(images), _BATCH):
        encoded = ENHANCER_CODING.encode(images[start : start + _BATCH])
        if data_format == "channels_first":
            encoded = np.ascontiguousarray(encoded.transpose(0, 3, 1, 2))
        answer = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(encoded)))
        if data_format == "channels_first":
            answer = answer.transpose(0, 2, 3, 1)
        pixels = np.rint(answer * PIXEL_STD + PIXEL_MEAN)
        restored[start : start + _BATCH] = np.clip(pixels, 0, 255).astype(np.uint8)
    return restored


class Enhancer:
    """A network that makes faces clearer.

    Attributes:
        name: of its folder.
        channels: of the pictures it takes.
    """

    def __init__(self, model: Any, *, name: str, channels: int, sha256: str) -> None:
        self.name, self.channels = name, channels
        self._model, self._sha256 = model, sha256

    @classmethod
    def open(cls, folder: Path) -> Enhancer:
        """Read a folder that `fer-edge train-enhancer` made.

        Raises:
            InputError: it cannot be read.
            IntegrityError: the model file is not the one that the record describes.
            MissingExtraError: Keras is not installed.
        """
        record = read_record(folder, ENHANCER_RECORD_SCHEMA)
        try:
            stated = record["model"]
            path, sha256 = folder / stated["file"], str(stated["sha256"])
            size = {name: int(stated[name]) for name in ("groups", "blocks", "filters", "channels")}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / RECORD_NAME} lacks or misstates {error}; train the enhancer again") from error
        check_file(path, sha256)
        keras = import_keras()
        from fer_edge_train.preparation.ffa_net import build_ffa_net

        # Rebuilt in the format that is fastest here; the weights are the same in both.
        model = build_ffa_net(**size, data_format=fastest_data_format())
        try:
            model.set_weights(keras.saving.load_model(path, compile=False).get_weights())
        except ValueError as error:
            raise InputError(f"{path}: expected an FFA-Net of {size}, found another network; train it again") from error
        return cls(model, name=str(stated.get("name", folder.name)), channels=size["channels"], sha256=sha256)

    def enhance(self, images: Pixels) -> Pixels:
        """Return enhanced copies of uint8 (n, h, w, channels); any size.

        Raises:
            InputError: the pictures have other channels than the network.
        """
        if images.shape[-1] != self.channels:
            raise InputError(f"{self.name}: expected pictures of {self.channels} channels, found {images.shape[-1]}")
        return restore(self._model, images, fastest_data_format())

    def enhance_set(self, faces: FaceSet, progress: Callable[[int, int], object]) -> FaceSet:
        """Return the set with its pictures enhanced; `progress` is told how many are done, and how many there are."""
        images = np.empty_like(faces.images)
        for start in range(0, len(faces), _BATCH):
            images[start : start + _BATCH] = self.enhance(faces.images[start : start + _BATCH])
            progress(min(start + _BATCH, len(faces)), len(faces))
        return replace(faces, images=images)

    def to_json(self) -> dict[str, str]:
        """Return what names this enhancer as JSON types."""
        return {"name": self.name, "model_sha256": self._sha256}
