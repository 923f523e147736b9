"""Training that starts from another run's weights instead of random ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge.files import sha256_of_file
from fer_edge_train.recipe import Recipe

__all__ = ["Start", "read_start"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Initial weights and where they come from.

    Attributes:
        weights: as `keras.Model.get_weights` gives them.
        sha256: of the model file.
        history: command, recipe and curve of the run that made them, and of the one before it, for the record.
    """

    weights: list[npt.NDArray[np.float32]]
    sha256: str
    history: dict[str, Any]


def read_start(folder: Path, recipe: Recipe) -> Start:
    """Read a model folder made by `fer-edge train`.

    Raises:
        InputError: the folder cannot be read, or holds another network than the recipe's.
    """
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        model_info = record["model"]
        path = folder / model_info["file"]
        found = (model_info["architecture"], tuple(model_info["input_shape_hwc"]))
        history = {key: record.get(key) for key in ("command", "recipe", "curve", "ms_per_image", "started_from")}
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot start from {folder}: {error}; expected a folder made by fer-edge train") from error
    if found != (recipe.architecture, recipe.input_shape_hwc):
        raise InputError(
            f"cannot start from {folder}: expected {recipe.architecture} {recipe.input_shape_hwc}, "
            f"found {found[0]} {found[1]}"
        )
    digest = sha256_of_file(path)
    return Start(weights=model.get_weights(), sha256=digest, history={"model_sha256": digest, **history})
