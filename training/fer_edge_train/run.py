"""One training run from files to a model folder: data, loop, evaluation, record, card."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge import __version__
from fer_edge.errors import InputError, OutputError, UsageError
from fer_edge.files import atomic_path, check_folder_target, replace_folder, sha256_of_file, write_text
from fer_edge.machine import machine_summary, package_versions
from fer_edge_train import zoo
from fer_edge_train.card import model_card
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.datasets import FaceSet, read_fer2013
from fer_edge_train.datasets.ferplus import read_ferplus_votes
from fer_edge_train.metrics import accuracy, confusion_matrix, per_class_recall
from fer_edge_train.model_folder import RECORD_NAME, TRAINING_RECORD_SCHEMA
from fer_edge_train.plots import plot_curve
from fer_edge_train.progress import make_progress
from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD, Recipe
from fer_edge_train.soft_targets import label_distribution_given_votes, one_hot, smooth
from fer_edge_train.start import read_start
from fer_edge_train.training import predict_logits, train
from fer_edge_train.typed_command import typed_command

__all__ = ["train_to_folder"]

_TRAINING, _TEST = "Training", "PublicTest"


def train_to_folder(
    recipe: Recipe,
    *,
    data: Path,
    votes: Path | None,
    out: Path,
    force: bool,
    restart: bool,
    start_from: Path | None = None,
) -> dict[str, Any]:
    """Train and write `out/` with model.keras, record.json, README.md (the card) and curve.png; return the record.

    Unfinished work is kept in `out` + ".partial"; the same call continues it. `out` appears only when it is complete.

    Raises:
        InputError: data or a start that cannot be read.
        IntegrityError: the start's model file is not the one that its record describes.
        OutputError: `out` cannot be written.
        UsageError: `out` exists without `force` or is no model folder, or an unfinished run there has another recipe or
            other data.
    """
    check_folder_target(out, force=force, marker=RECORD_NAME)
    zoo.check_name(recipe.architecture)
    if recipe.vote_share and votes is None:
        raise UsageError("a vote share above 0 needs the votes: give --votes fer2013new.csv")
    if votes is not None and not recipe.vote_share:
        raise UsageError(f"a vote share of 0 leaves {votes} unused; leave --votes away or raise --vote-share")
    start = read_start(start_from, recipe) if start_from is not None else None
    if start is not None:
        recipe = replace(recipe, start_from_sha256=start.sha256)
    partial = out.with_name(out.name + ".partial")
    checkpoints = Checkpoints(partial)
    if restart:
        checkpoints.forget()

    sets = read_fer2013(data, (_TRAINING, _TEST))
    faces, test = sets[_TRAINING], sets[_TEST]
    n_all = len(faces)
    faces = faces.without_constant_images().without_images_of(test)
    n_dropped = n_all - len(faces)
    if not len(faces):
        raise InputError(
            f"{data}: expected training images, found {n_all} that are one constant value or in {_TEST} too"
        )
    faces, validation = faces.split(recipe.validation_fraction, seed=recipe.seed)
    targets = _targets(faces, votes, recipe)

    state = checkpoints.load_state()
    if state is not None:
        _check_same_run(recipe, faces, state.recipe, state.data_digest, partial)
    progress = make_progress(sys.stderr)
    try:
        with progress:
            result = train(
                recipe,
                faces,
                targets,
                validation,
                checkpoints,
                progress,
                initial_weights=start.weights if start is not None else None,
            )
    except KeyboardInterrupt:
        saved = checkpoints.load_state()
        done = saved.epochs_done if saved else 0
        sys.stderr.write(
            f"fer-edge: interrupted; {done} of {recipe.epochs} epochs are kept in {partial}, "
            "the same command continues\n"
        )
        raise

    logits = predict_logits(result.model, test.images)
    predicted = logits.argmax(axis=1).astype(np.int64)
    public_test = accuracy(predicted, test.label_indices)
    recall = per_class_recall(confusion_matrix(predicted, test.label_indices, len(test.labels)))
    record: dict[str, Any] = {
        "schema": TRAINING_RECORD_SCHEMA,
        "fer_edge_version": __version__,
        "command": typed_command(),
        "recipe": recipe.to_json(),
        "started_from": start.history if start is not None else None,
        "model": {
            "name": out.name,
            "file": "model.keras",
            "architecture": recipe.architecture,
            "input_shape_hwc": list(recipe.input_shape_hwc),
            "parameters": int(result.model.count_params()),
            "trainable_parameters": int(sum(np.prod(w.shape) for w in result.model.trainable_weights)),
            "labels": list(test.labels),
            "pixel_mean": PIXEL_MEAN,
            "pixel_std": PIXEL_STD,
            "output": "logits",
        },
        "data": {
            "name": "FER-2013",
            "file_sha256": sha256_of_file(data),
            "votes_sha256": sha256_of_file(votes) if votes is not None else None,
            "training_images": len(faces),
            "training_digest": faces.digest(),
            "held_out_images": len(validation),
            "dropped_images": n_dropped,
            "dropped_because": "constant value, or the same pixels as an image of PublicTest",
        },
        "measured": {
            "PublicTest": {
                "top1": round(public_test.top1, 6),
                "n": public_test.n,
                "interval95": [round(public_test.low, 6), round(public_test.high, 6)],
                # JSON has no NaN: a class without images has no recall.
                "recall": {
                    name: round(float(value), 4) if math.isfinite(value) else None
                    for name, value in zip(test.labels, recall, strict=True)
                },
            }
        },
        "ms_per_image": round(result.ms_per_image, 4) if result.ms_per_image is not None else None,
        "curve": result.curve,
        "backend": keras.backend.backend(),
        "versions": package_versions(("keras", "tensorflow", "torch", "jax", "numpy", "opencv-python-headless")),
        "machine": machine_summary(),
    }
    _write_folder(out, result.model, record)
    checkpoints.forget()
    sys.stdout.write(f"{out}: PublicTest {public_test}\n")
    return record


def _targets(faces: FaceSet, votes_path: Path | None, recipe: Recipe) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the training targets (n, classes): labels, mixed with what the votes say, then smoothed."""
    n_classes = len(faces.labels)
    targets = one_hot(faces.label_indices, n_classes)
    if recipe.vote_share and votes_path is not None:
        votes = read_ferplus_votes(votes_path)
        if len(votes) <= faces.rows.max():
            raise InputError(
                f"{votes_path}: expected a row for each row of the data (at least {int(faces.rows.max()) + 1}), "
                f"found {len(votes)}; it must be the FER+ file of the same fer2013.csv"
            )
        expected = label_distribution_given_votes(votes[faces.rows], faces.label_indices, n_classes)
        targets = (1.0 - recipe.vote_share) * targets + recipe.vote_share * expected
    return smooth(targets, recipe.label_smoothing)


def _check_same_run(
    recipe: Recipe, faces: FaceSet, other_recipe: dict[str, Any], other_digest: str, partial: Path
) -> None:
    differing = recipe.differences(other_recipe)
    if faces.digest() != other_digest:
        differing.append("data")
    if differing:
        raise UsageError(
            f"{partial} holds an unfinished run with another {', '.join(differing)}; "
            "repeat its options to continue it, or add --restart to forget it"
        )


def _write_folder(out: Path, model: Any, record: dict[str, Any]) -> None:
    """Make the folder beside its place, then rename it in; one that was there is kept until the new one is complete."""
    staging = out.with_name(f".{out.name}.staging")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        with atomic_path(staging / "model.keras") as temporary:
            model.save(temporary)
        record["model"]["sha256"] = sha256_of_file(staging / "model.keras")
        write_text(staging / "record.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
        write_text(staging / "README.md", model_card(record))
        plot_curve(record["curve"], staging / "curve.png")
        replace_folder(staging, out)
    except OutputError as error:
        raise OutputError(f"{error}; the trained weights are kept") from error
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; the trained weights are kept") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
