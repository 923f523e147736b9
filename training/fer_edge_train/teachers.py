"""Trained networks that a smaller one learns from (Hinton, Vinyals, Dean, "Distilling the Knowledge", 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from fer_edge.errors import InputError
from fer_edge_train.model_folder import read_classifier
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD, Recipe

__all__ = ["Teacher", "read_teachers"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A trained model that sees the same augmented pixels as the network in training.

    Attributes:
        model: keras.Model to logits.
        sha256: of the model file.
        history: name, architecture, labels, command, recipe, data and figures, for the record.
    """

    model: Any
    sha256: str
    history: dict[str, Any]


def read_teachers(folders: Sequence[Path], recipe: Recipe) -> list[Teacher]:
    """Read model folders made by `fer-edge train`.

    Raises:
        InputError: a folder cannot be read, or its network takes other pixels than the recipe's.
        IntegrityError: a model file is not the one that its record describes.
    """
    teachers = []
    for folder in folders:
        source = read_classifier(folder)
        expected = (recipe.input_shape_hwc, PIXEL_MEAN, PIXEL_STD)
        found = (source.input_shape_hwc, source.pixel_mean, source.pixel_std)
        if found != expected:
            raise InputError(
                f"{folder} cannot teach: expected input shape, pixel mean and deviation {expected}, found {found}; "
                "train one with the same input"
            )
        history = {
            "model_sha256": source.sha256,
            "name": source.name,
            "architecture": source.record["model"]["architecture"],
            "labels": list(source.labels),
        }
        history |= {key: source.record.get(key) for key in ("command", "recipe", "data", "measured")}
        model = keras.saving.load_model(source.path, compile=False)
        teachers.append(Teacher(model=model, sha256=source.sha256, history=history))
    return teachers
