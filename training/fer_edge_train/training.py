"""The training loop: resumable after every epoch, whoever computes the steps."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import FerEdgeError
from fer_edge_train import zoo
from fer_edge_train.batches import epoch_view, steps_per_epoch
from fer_edge_train.checkpoints import Checkpoints, RunState
from fer_edge_train.datasets import FaceSet
from fer_edge_train.keras_trainer import KerasTrainer
from fer_edge_train.metrics import accuracy
from fer_edge_train.recipe import Recipe
from fer_edge_train.schedules import rate_factor
from fer_edge_train.trainer import Arrays, Floats, Trainer, TrainerSetup, image_weights

__all__ = ["DivergedError", "Progress", "TrainingResult", "make_trainer", "train", "untrained"]


class DivergedError(FerEdgeError, ArithmeticError):
    """The training loss left the finite numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A trained network and how it came about.

    Attributes:
        model: keras.Model with the kept weights, without optimizer.
        curve: one dictionary for each epoch: train_loss, train_top1, seconds, input_wait_seconds, and where images are
            held out val_loss and val_top1.
        ms_per_image: mean time of a training step divided by its images, over all epochs; 0 without epochs.
        input_wait_share: part of that time in which the step waited for its images.
        kept_epoch: the epoch, from 1, whose weights these are; 0 without epochs.
    """

    model: Any
    curve: list[dict[str, float]]
    ms_per_image: float
    input_wait_share: float
    kept_epoch: int


class Progress:
    """What a training run reports to; the base class keeps silent."""

    def start(self, n_epochs: int, steps_per_epoch: int, epochs_done: int) -> None:
        """Announce the run."""

    def step(self, epoch: int, step: int) -> None:
        """Report that `step` steps of `epoch` (both from 0) are done."""

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """Report the figures of a finished epoch."""


def make_trainer(setup: TrainerSetup) -> Trainer:
    """Return the fastest trainer for the backend in use; what torch cannot take Keras trains, and it is said."""
    if keras.backend.backend() != "torch":
        return KerasTrainer(setup)
    from fer_edge_train.torch_backend import TorchTrainer, UntranslatableError

    try:
        return TorchTrainer(setup)
    except UntranslatableError as error:
        sys.stderr.write(f"fer-edge: {error}; Keras computes the steps, more slowly\n")
        return KerasTrainer(setup)


def train(
    recipe: Recipe,
    faces: FaceSet,
    targets: npt.NDArray[np.float64],
    data_digest: str,
    validation: FaceSet | None,
    checkpoints: Checkpoints,
    progress: Progress,
    *,
    initial_weights: Sequence[npt.NDArray[np.float32]] | None = None,
    teachers: Sequence[Any] = (),
) -> TrainingResult:
    """Train a network, or continue the run whose state `checkpoints` holds.

    Args:
        recipe: how; must equal the recipe of a run that is continued (the caller checks).
        faces: training images.
        targets: (n, n_classes); rows sum to 1 minus the recipe's teacher_share.
        data_digest: names images, targets and held-out images exactly; kept with the state.
        validation: held-out images watched after each epoch; never trained on.
        checkpoints: where the state is kept.
        progress: told of each step and epoch.
        initial_weights: of a network of the same shapes, as `get_weights` gives them; None draws random ones.
        teachers: keras.Models whose mean probabilities are the rest of the targets.

    Raises:
        DivergedError: the loss is not a finite number any more; that epoch is not kept.
        InputError: the state in `checkpoints` cannot be read.
        OutputError: a checkpoint cannot be written.
    """
    n_classes = len(faces.labels)
    n_steps = steps_per_epoch(len(faces), recipe.batch_size)
    targets_f32 = targets.astype(np.float32)
    model = _initial_model(recipe, n_classes, initial_weights)
    weights = image_weights(faces.label_indices, n_classes, recipe.class_weight_power)
    trainer = make_trainer(TrainerSetup(model=model, recipe=recipe, teachers=teachers))

    state = checkpoints.load_state()
    best: Arrays = {}
    if state is None:
        state = RunState(
            epochs_done=0,
            recipe=recipe.to_json(),
            data_digest=data_digest,
            backend=keras.backend.backend(),
            curve=[],
        )
    else:
        best = checkpoints.restore(trainer, state)

    progress.start(recipe.epochs, n_steps, state.epochs_done)
    while state.epochs_done < recipe.epochs and not _out_of_patience(recipe, state.curve):
        epoch = state.epochs_done
        started = time.perf_counter()
        trainer.begin_epoch((recipe.seed + 1_000_003 * epoch) % 2**32, epoch_view(recipe, epoch))
        batches = trainer.batches(faces, targets_f32, weights, epoch)
        for index, batch in enumerate(batches):
            number = epoch * n_steps + index
            factor = rate_factor(recipe.schedule, number, n_steps * recipe.epochs, state.curve)
            trainer.step(batch, recipe.peak_rate * factor, number)
            progress.step(epoch, index + 1)
        step_figures = trainer.figures()
        seconds = time.perf_counter() - started
        figures = {
            "train_loss": step_figures.loss,
            "train_top1": step_figures.top1,
            "seconds": round(seconds, 2),
            "input_wait_seconds": round(batches.waited_s, 3),
        }
        _check_finite("training loss", step_figures.loss, epoch, recipe)
        figures |= _held_out_figures(trainer, validation)
        _check_finite("held-out loss", figures.get("val_loss", 0.0), epoch, recipe)
        state = replace(state, epochs_done=epoch + 1, curve=[*state.curve, figures])
        if recipe.patience and _best_epoch(state.curve) == epoch:
            best = {f"best/{i}": weight for i, weight in enumerate(trainer.kept_weights())}
        checkpoints.save({**trainer.state(), **best}, state)
        progress.epoch(epoch, figures)

    model.set_weights([best[f"best/{i}"] for i in range(len(best))] if best else trainer.kept_weights())
    n_images = state.epochs_done * min(n_steps * recipe.batch_size, len(faces))
    seconds, waited = (sum(row[name] for row in state.curve) for name in ("seconds", "input_wait_seconds"))
    return TrainingResult(
        model=model,
        curve=state.curve,
        ms_per_image=1000.0 * seconds / n_images,
        input_wait_share=waited / seconds if seconds else 0.0,
        kept_epoch=_best_epoch(state.curve) + 1 if recipe.patience else state.epochs_done,
    )


def untrained(
    recipe: Recipe, n_classes: int, initial_weights: Sequence[npt.NDArray[np.float32]] | None
) -> TrainingResult:
    """Return the network of a recipe without epochs: its initial weights as they are."""
    model = _initial_model(recipe, n_classes, initial_weights)
    return TrainingResult(model=model, curve=[], ms_per_image=0.0, input_wait_share=0.0, kept_epoch=0)


def _initial_model(recipe: Recipe, n_classes: int, initial_weights: Sequence[npt.NDArray[np.float32]] | None) -> Any:
    keras.utils.set_random_seed(recipe.seed)
    model = zoo.build(recipe.architecture, recipe.input_shape_hwc, n_classes)
    if initial_weights is not None:
        model.set_weights(initial_weights)
    return model


def _check_finite(name: str, value: float, epoch: int, recipe: Recipe) -> None:
    if not math.isfinite(value):
        raise DivergedError(
            f"the {name} became {value} in epoch {epoch + 1}, expected a finite number; "
            f"give a --peak-rate below {recipe.peak_rate:g} and --restart"
        )


def _held_out_figures(trainer: Trainer, validation: FaceSet | None) -> dict[str, float]:
    """Return cross-entropy and top-1 on the held-out images; nothing where there are none."""
    if validation is None or not len(validation):
        return {}
    logits = trainer.logits(validation.images)
    return {
        "val_loss": _cross_entropy(logits, validation.label_indices),
        "val_top1": accuracy(logits.argmax(axis=1), validation.label_indices).top1,
    }


def _cross_entropy(logits: Floats, label_indices: npt.NDArray[np.int64]) -> float:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(log_probs[np.arange(len(logits)), label_indices].mean())


def _best_epoch(curve: list[dict[str, float]]) -> int:
    """Return the epoch, from 0, with the smallest held-out loss; the first of equals."""
    return min(range(len(curve)), key=lambda epoch: curve[epoch]["val_loss"])


def _out_of_patience(recipe: Recipe, curve: list[dict[str, float]]) -> bool:
    return bool(recipe.patience and curve) and len(curve) - 1 - _best_epoch(curve) >= recipe.patience
