"""Trains a network a little with int8's rounding simulated, so that its answers survive the rounding."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.classifier import softmax
from fer_edge.preprocess import PixelCoding
from fer_edge_convert.fine_tuning.simulation import copy_weights, set_ranges, simulated_network
from fer_edge_convert.ranges import Range
from fer_edge_train.datasets import FaceSet

__all__ = ["FineTuning", "fine_tune"]

Floats = npt.NDArray[np.float32]

_PREDICT_BATCH = 256
_LEAST_PROB = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """How a network is fine-tuned.

    Attributes:
        epochs: how often each face is seen.
        seed: of the faces' order.
        n_weight_steps: from zero to a channel's largest weight: 127, or 64 for seven bits.
        peak_rate: first learning rate (Adam); it falls to zero along half a cosine.
        batch_size: faces in one step.
        teacher_share: how much the network's own probabilities before count against the labels, 0 to 1.
    """

    epochs: int
    seed: int
    n_weight_steps: int
    peak_rate: float = 2e-4
    batch_size: int = 64
    teacher_share: float = 0.9

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def fine_tune(
    folded: Any,
    find_ranges: Callable[[], Mapping[str, Range]],
    faces: FaceSet,
    coding: PixelCoding,
    settings: FineTuning,
    *,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Change the weights of a network so that its quantized file answers as it does now.

    The simulated file is trained to give the network's own probabilities (Hinton, Vinyals, Dean, "Distilling the
    Knowledge in a Neural Network", 2015, at temperature 1) and the labels. Ranges of activations are no weights: they
    are observed anew before each epoch, as the conversion will observe them, and fixed during it. Statistics of batch
    normalizations are frozen. The same seed gives the same weights on the same machine.

    Args:
        folded: keras.Model of `fold_batch_normalizations`, logits as output; its weights are changed.
        find_ranges: gives the range of each tensor that `rounded_tensors` names, for the weights that `folded` has when
            it is called.
        faces: training faces.
        coding: of the network's pixels.
        settings: how.
        say: told of each epoch, with the time left.
        clock: seconds.
    """
    images = faces.images
    simulated = simulated_network(folded, find_ranges(), settings.n_weight_steps)
    teacher = softmax(folded.predict(coding.encode(images), batch_size=_PREDICT_BATCH, verbose=0))
    one_hot = np.eye(teacher.shape[1], dtype=np.float32)[faces.label_indices]
    targets = settings.teacher_share * teacher + (1 - settings.teacher_share) * one_hot
    size = min(settings.batch_size, len(faces))
    n_steps = len(faces) // size  # what is left over waits for the next shuffle
    simulated.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.peak_rate, settings.epochs * n_steps)
        ),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,  # one epoch takes less time than compiling it well
    )
    entropies = -(targets * np.log(np.maximum(targets, _LEAST_PROB))).sum(axis=1)
    begin = clock()
    for epoch in range(settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(faces))
        if epoch:
            copy_weights(simulated, folded)
            set_ranges(simulated, find_ranges())
        divergences = []
        for step in range(n_steps):
            members = order[step * size : (step + 1) * size]
            simulated.reset_metrics()
            logs = simulated.train_on_batch(coding.encode(images[members]), targets[members], return_dict=True)
            divergences.append(float(logs["loss"]) - float(entropies[members].mean()))
        elapsed_s = clock() - begin
        left_s = elapsed_s / (epoch + 1) * (settings.epochs - epoch - 1)
        say(
            f"fine-tuning epoch {epoch + 1}/{settings.epochs}: divergence {np.mean(divergences):.5f} nats, "
            f"{elapsed_s:.0f} s, {left_s:.0f} s left"
        )
    copy_weights(simulated, folded)
