"""Learning rates over a training run."""

from __future__ import annotations

import math
from typing import Any

import keras

__all__ = ["OneCycle"]


@keras.saving.register_keras_serializable(package="fer_edge_train")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Linear rise to `peak_rate`, then half a cosine down to zero (Smith and Topin, "Super-convergence", 2018)."""

    def __init__(self, peak_rate: float, n_steps: int, warmup_fraction: float = 0.2) -> None:
        self.peak_rate = peak_rate
        self.n_steps = n_steps
        self.warmup_fraction = warmup_fraction

    def __call__(self, step: Any) -> Any:
        """Return the rate at optimizer step `step` (0 at the first)."""
        done = (keras.ops.cast(step, "float32") + 1.0) / self.n_steps
        rise = done / self.warmup_fraction
        along = (done - self.warmup_fraction) / (1.0 - self.warmup_fraction)
        fall = 0.5 * (1.0 + keras.ops.cos(math.pi * keras.ops.clip(along, 0.0, 1.0)))
        return self.peak_rate * keras.ops.minimum(rise, fall)

    def get_config(self) -> dict[str, float | int]:
        """Return the arguments that make this schedule again."""
        return {"peak_rate": self.peak_rate, "n_steps": self.n_steps, "warmup_fraction": self.warmup_fraction}
