"""Training that starts from another run's weights instead of random ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train import zoo
from fer_edge_train.model_folder import read_classifier
from fer_edge_train.recipe import Recipe

__all__ = ["Start", "pretrained_weights", "read_start"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Initial weights and where they come from.

    Attributes:
        weights: as `keras.Model.get_weights` gives them.
        sha256: of the model file.
        history: labels, command, recipe, data and curve of the run that made them, and of the one before it.
    """

    weights: list[npt.NDArray[np.float32]]
    sha256: str
    history: dict[str, Any]


def read_start(folder: Path, recipe: Recipe) -> Start:
    """Read a model folder made by `fer-edge train`.

    Raises:
        InputError: the folder cannot be read, or holds another network than the recipe's.
        IntegrityError: the model file is not the one that the record describes.
    """
    source = read_classifier(folder)
    architecture = source.record["model"].get("architecture")
    if (architecture, source.input_shape_hwc) != (recipe.architecture, recipe.input_shape_hwc):
        raise InputError(
            f"cannot start from {folder}: expected {recipe.architecture} {recipe.input_shape_hwc}, "
            f"found {architecture} {source.input_shape_hwc}"
        )
    model = keras.saving.load_model(source.path, compile=False)
    kept = ("command", "recipe", "data", "curve", "ms_per_image", "machine", "accelerator", "teachers", "started_from")
    return Start(
        weights=model.get_weights(),
        sha256=source.sha256,
        history={
            "model_sha256": source.sha256,
            "labels": list(source.labels),
            **{key: source.record.get(key) for key in kept},
        },
    )


def pretrained_weights(recipe: Recipe, n_classes: int, source: str) -> list[npt.NDArray[np.float32]]:
    """Return the recipe's network with a body of ImageNet weights and a random head, as `get_weights` gives it.

    Args:
        recipe: which network.
        n_classes: length of its output.
        source: "imagenet", fetched by Keras, or the path of a file.

    Raises:
        InputError: the weights cannot be fetched or are not of this network.
        UsageError: the network has no ImageNet weights.
    """
    model = zoo.build(recipe.architecture, recipe.input_shape_hwc, n_classes)
    zoo.load_pretrained(recipe.architecture, model, source)
    weights: list[npt.NDArray[np.float32]] = model.get_weights()
    return weights
