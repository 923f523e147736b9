"""The record of a training run: what made the model, what it was made of, and what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from fer_edge import __version__
from fer_edge.classifier import softmax
from fer_edge.machine import machine_summary, package_versions
from fer_edge_train.backend import accelerator_name
from fer_edge_train.datasets import FaceSet
from fer_edge_train.devices import n_devices
from fer_edge_train.evaluation import Evaluation, evaluate
from fer_edge_train.keras_trainer import predict_logits
from fer_edge_train.model_folder import TRAINING_RECORD_SCHEMA
from fer_edge_train.recall_floors import ShiftedDecision
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD, Recipe
from fer_edge_train.start import Start
from fer_edge_train.teachers import Teacher
from fer_edge_train.training import TrainingResult
from fer_edge_train.training_data import TrainingData
from fer_edge_train.typed_command import typed_command

__all__ = ["measure", "training_record"]

_PACKAGES = ("keras", "tensorflow", "torch", "jax", "numpy", "opencv-python-headless")


def measure(model: Any, faces: FaceSet) -> Evaluation:
    """Return what a trained keras.Model does on faces it has not seen."""
    return evaluate(softmax(predict_logits(model, faces.images)), faces)


def training_record(
    *,
    name: str,
    recipe: Recipe,
    data: TrainingData,
    result: TrainingResult,
    shifted: ShiftedDecision | None,
    measured: Mapping[str, Evaluation],
    start: Start | None,
    teachers: Sequence[Teacher],
) -> dict[str, Any]:
    """Return the record as JSON types; the model file's digest is not in it yet."""
    return {
        "schema": TRAINING_RECORD_SCHEMA,
        "fer_edge_version": __version__,
        "command": typed_command(),
        "recipe": recipe.to_json(),
        "started_from": start.history_for(recipe, len(data.training)) if start is not None else None,
        "teachers": [teacher.history for teacher in teachers],
        "model": {
            "name": name,
            "file": "model.keras",
            "architecture": recipe.architecture,
            "input_shape_hwc": list(recipe.input_shape_hwc),
            "parameters": int(result.model.count_params()),
            "trainable_parameters": int(sum(np.prod(w.shape) for w in result.model.trainable_weights)),
            "labels": list(data.training.labels),
            "pixel_mean": PIXEL_MEAN,
            "pixel_std": PIXEL_STD,
            "output": "logits",
        },
        "data": data.description,
        "measured": {test_name: figures.to_json() for test_name, figures in measured.items()},
        **_speed(result),
        "kept_epoch": result.kept_epoch,
        "shifted_decision": shifted.to_json() if shifted is not None else None,
        "curve": result.curve,
        "backend": keras.backend.backend(),
        "accelerator": accelerator_name(),
        "devices": n_devices(),
        "versions": package_versions(_PACKAGES),
        "machine": machine_summary(),
    }


def _speed(result: TrainingResult) -> dict[str, float]:
    return {
        "ms_per_image": round(result.ms_per_image, 4),
        "images_per_second": round(1000.0 / result.ms_per_image, 1) if result.ms_per_image else 0.0,
        "input_wait_share": round(result.input_wait_share, 4),
    }
