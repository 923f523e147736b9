"""Training of an enhancer on pairs of hazy and clear faces: L1 loss, resumable after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import FerEdgeError
from fer_edge_train.checkpoints import Checkpoints, RunState
from fer_edge_train.datasets import FaceSet
from fer_edge_train.preparation.enhancer import ENHANCER_CODING, fastest_data_format, restore
from fer_edge_train.preparation.enhancer_recipe import EnhancerRecipe
from fer_edge_train.preparation.ffa_net import build_ffa_net
from fer_edge_train.preparation.haze import Haze
from fer_edge_train.preparation.image_quality import psnr_db, ssim

__all__ = ["EnhancerDivergedError", "Quality", "held_out_haze", "measure_quality", "train_enhancer"]

Arrays = dict[str, npt.NDArray[Any]]
Pixels = npt.NDArray[np.uint8]
Tell = Callable[[str], object]

_WARMUP_SHARE = 0.05


class EnhancerDivergedError(FerEdgeError, ArithmeticError):
    """The training loss left the finite numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Means over pictures of how near they are to the clear ones; None where one is equal, which has no finite PSNR."""

    psnr_db: float | None
    ssim: float

    def to_json(self) -> dict[str, float | None]:
        """Return the figures, rounded, as JSON types."""
        return {"psnr_db": None if self.psnr_db is None else round(self.psnr_db, 2), "ssim": round(self.ssim, 4)}


def measure_quality(images: Pixels, clear: Pixels) -> Quality:
    """Compare pictures with the clear ones, uint8 (n, h, w, c) both."""
    psnr = float(psnr_db(images, clear).mean())
    return Quality(psnr_db=psnr if math.isfinite(psnr) else None, ssim=float(ssim(images, clear).mean()))


def held_out_haze(clear: Pixels, recipe: EnhancerRecipe) -> Pixels:
    """Return the held-out pictures with haze, none of them left clear; the same at every call."""
    haze = Haze(
        airlight_range=recipe.haze.airlight_range,
        transmission_range=recipe.haze.transmission_range,
        smooth_share=recipe.haze.smooth_share,
    )
    return haze.apply(clear, np.random.default_rng([recipe.seed, 2**32 - 1]))


def train_enhancer(
    recipe: EnhancerRecipe, faces: FaceSet, held_out: FaceSet, checkpoints: Checkpoints, tell: Tell
) -> tuple[Any, list[dict[str, float]]]:
    """Train an FFA-Net, or continue the run whose state `checkpoints` holds.

    Args:
        recipe: how; must equal the recipe of a run that is continued (the caller checks).
        faces: clear pictures to put haze over.
        held_out: clear pictures to measure on, none of them in `faces`.
        checkpoints: where the state is kept.
        tell: called with a line after each epoch.

    Returns:
        The channels-last model without optimizer, and a dictionary for each epoch: l1 (of pixel values), psnr_db
        (of the restored held-out pictures), seconds.

    Raises:
        EnhancerDivergedError: the loss is not a finite number any more; that epoch is not kept.
        InputError: the state in `checkpoints` cannot be read.
        OutputError: a checkpoint cannot be written.
    """
    keras.utils.set_random_seed(recipe.seed)
    size = {"groups": recipe.groups, "blocks": recipe.blocks, "filters": recipe.filters, "channels": recipe.channels}
    data_format = fastest_data_format()
    n_steps = math.ceil(min(recipe.pictures_per_epoch, len(faces)) / recipe.batch_size)
    run: Any = _Run(build_ffa_net(**size, data_format=data_format), recipe, n_steps * recipe.epochs)
    state = checkpoints.load_state()
    if state is None:
        state = RunState(
            epochs_done=0,
            recipe=recipe.to_json(),
            data_digest=faces.digest(),
            backend=keras.backend.backend(),
            curve=[],
        )
    else:
        checkpoints.restore(run, state)
        tell(f"continuing after {state.epochs_done} of {recipe.epochs} epochs")

    hazy = held_out_haze(held_out.images, recipe)
    for epoch in range(state.epochs_done, recipe.epochs):
        started = time.perf_counter()
        l1 = run.epoch(faces.images, epoch, n_steps, data_format)
        if not math.isfinite(l1):
            raise EnhancerDivergedError(
                f"the training loss became {l1} in epoch {epoch + 1}, expected a finite number; "
                f"give a --peak-rate below {recipe.peak_rate:g} and add --restart"
            )
        psnr = float(psnr_db(restore(run.model, hazy, data_format), held_out.images).mean())
        seconds = time.perf_counter() - started
        figures = {"l1": round(l1, 4), "psnr_db": round(psnr, 3), "seconds": round(seconds, 2)}
        state = replace(state, epochs_done=epoch + 1, curve=[*state.curve, figures])
        checkpoints.save(run.arrays(), state)
        tell(f"epoch {epoch + 1}/{recipe.epochs}: L1 {l1:.2f} pixel values, held out {psnr:.2f} dB, {seconds:.0f} s")

    exported = build_ffa_net(**size, data_format="channels_last")
    exported.set_weights(run.model.get_weights())
    return exported, state.curve


class _Run:
    """Network and optimizer of one training run."""

    def __init__(self, model: Any, recipe: EnhancerRecipe, n_steps: int) -> None:
        warmup = max(round(_WARMUP_SHARE * n_steps), 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=recipe.peak_rate / warmup,
            decay_steps=max(n_steps - warmup, 1),
            warmup_target=recipe.peak_rate,
            warmup_steps=warmup,
        )
        self.model = model
        self._recipe = recipe
        model.compile(optimizer=keras.optimizers.Adam(rate), loss="mean_absolute_error")
        model.optimizer.build(model.trainable_variables)

    def epoch(self, clear: Pixels, epoch: int, n_steps: int, data_format: str) -> float:
        """Do one epoch and return its mean L1 in pixel values."""
        recipe = self._recipe
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(clear))[: recipe.pictures_per_epoch]
        total = 0.0
        for step in range(n_steps):
            members = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            rng = np.random.default_rng([recipe.seed, epoch, step])
            target = clear[members]
            # A mirrored face is a face too: it doubles what the network can see.
            mirrored = rng.random(len(target)) < 0.5
            target = np.where(mirrored[:, np.newaxis, np.newaxis, np.newaxis], target[:, :, ::-1], target)
            pair = [ENHANCER_CODING.encode(images) for images in (recipe.haze.apply(target, rng), target)]
            if data_format == "channels_first":
                pair = [np.ascontiguousarray(images.transpose(0, 3, 1, 2)) for images in pair]
            # Keras' own figure is a running mean over the steps, so each is asked for alone.
            self.model.reset_metrics()
            total += len(members) * float(self.model.train_on_batch(*pair))
        return total / len(order) * ENHANCER_CODING.std

    def arrays(self) -> Arrays:
        """Return all that the next epoch depends on."""
        weights = {f"weights/{i:04d}": value for i, value in enumerate(self.model.get_weights())}
        moments = {
            f"optimizer/{i:04d}": keras.ops.convert_to_numpy(variable.value)
            for i, variable in enumerate(self.model.optimizer.variables)
        }
        return {**weights, **moments}

    def restore(self, arrays: Arrays) -> None:
        """Take back what `arrays` returned.

        Raises:
            KeyError, ValueError: the arrays are of another network.
        """
        self.model.set_weights([arrays[f"weights/{i:04d}"] for i in range(len(self.model.weights))])
        for i, variable in enumerate(self.model.optimizer.variables):
            variable.assign(arrays[f"optimizer/{i:04d}"])
