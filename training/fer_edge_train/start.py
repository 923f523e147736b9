"""Training that starts from another run's weights instead of random ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.command import tell
from fer_edge.errors import InputError
from fer_edge_train import zoo
from fer_edge_train.low_rank import factor, factored_names
from fer_edge_train.model_folder import read_classifier
from fer_edge_train.recipe import Recipe

__all__ = ["Start", "factoring_images", "pretrained_weights", "read_start", "start_weights"]

_N_FACTORING_IMAGES = 2048  # 74 thousand outputs or more of a convolution, for covariances of 256 x 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """The network whose weights a run begins with.

    Attributes:
        architecture: the recipe's, or the one that the recipe's has in low rank.
        path: of the model file.
        sha256: of the model file.
        history: architecture, labels, command, recipe, data and curve of the run that made it, and of the one before.
    """

    architecture: str
    path: Path
    sha256: str
    history: dict[str, Any]

    def history_for(self, recipe: Recipe, n_images: int) -> dict[str, Any]:
        """Return the history, and where the network is factored on how many of the `n_images` training images."""
        if not self.is_factored_by(recipe):
            return self.history
        return {**self.history, "factored_on_images": min(n_images, _N_FACTORING_IMAGES)}

    def is_factored_by(self, recipe: Recipe) -> bool:
        """Return whether the recipe's network is this one in low rank."""
        return self.architecture != recipe.architecture


def read_start(folder: Path, recipe: Recipe) -> Start:
    """Read a model folder made by `fer-edge train`.

    Raises:
        InputError: the folder cannot be read, or holds another network than the recipe's or the one that it has in low
            rank.
        IntegrityError: the model file is not the one that the record describes.
    """
    source = read_classifier(folder)
    architecture = source.record["model"].get("architecture")
    whole = zoo.factored_from(recipe.architecture)
    known = [recipe.architecture] if whole is None else [recipe.architecture, whole]
    if architecture not in known or source.input_shape_hwc != recipe.input_shape_hwc:
        raise InputError(
            f"cannot start from {folder}: expected {' or '.join(known)} {recipe.input_shape_hwc}, "
            f"found {architecture} {source.input_shape_hwc}"
        )
    kept = ("command", "recipe", "data", "curve", "ms_per_image", "machine", "accelerator", "teachers", "started_from")
    return Start(
        architecture=architecture,
        path=source.path,
        sha256=source.sha256,
        history={
            "model_sha256": source.sha256,
            "architecture": architecture,
            "labels": list(source.labels),
            **{key: source.record.get(key) for key in kept},
        },
    )


def start_weights(start: Start, recipe: Recipe, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
    """Return the weights that a run begins with, as `get_weights` gives them.

    Args:
        start: a network of the recipe's architecture, whose weights are taken as they are, or the one that it has in
            low rank, whose convolutions are factored (`low_rank`).
        recipe: which network.
        images: (n, height, width, channels) of training; factoring looks at some of them.
    """
    model = keras.saving.load_model(start.path, compile=False)
    if start.is_factored_by(recipe):
        whole, model = model, zoo.build(recipe.architecture, recipe.input_shape_hwc, model.output_shape[-1])
        seen = factoring_images(images)
        n_factored = len(factored_names(model))
        tell(f"factoring {n_factored} convolutions of {start.architecture} on {len(seen)} training images")
        factor(whole, model, seen)
    weights: list[npt.NDArray[np.float32]] = model.get_weights()
    return weights


def factoring_images(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return 2,048 of the training images, evenly spaced, or all: what convolutions to be factored are looked at on."""
    return images[np.linspace(0, len(images) - 1, min(len(images), _N_FACTORING_IMAGES)).astype(np.int64)]


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
