"""What eight bits leave of a value, computed in float32 so that gradients pass through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from fer_edge_convert.ranges import Range

__all__ = ["Steps", "fake_quantize", "fake_quantize_weights"]

_N_LEVELS = 256
# Weights that are all zero need a step of some size.
_SMALLEST_STEP = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The 256 real values that an 8-bit tensor can have.

    Attributes:
        scale: from one to the next.
        zero_point: how many lie below zero, 0 to 255.
    """

    scale: float
    zero_point: int

    @classmethod
    def of(cls, found: Range) -> Steps:
        """Return the steps of a range that contains zero; it is moved by less than a step, so that one is exactly zero.

        As Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"
        (2018), 3, and as the engines' quantizers do.

        Raises:
            ValueError: the range is empty or does not contain zero.
        """
        low, high = found
        if not low <= 0.0 <= high or not low < high:
            raise ValueError(f"expected a range that contains zero, found {low:g} to {high:g}")
        scale = (high - low) / (_N_LEVELS - 1)
        return cls(scale=scale, zero_point=min(max(round(-low / scale), 0), _N_LEVELS - 1))

    @property
    def low(self) -> float:
        """The smallest value."""
        return -self.zero_point * self.scale

    @property
    def high(self) -> float:
        """The largest value."""
        return (_N_LEVELS - 1 - self.zero_point) * self.scale


def fake_quantize(values: Any, steps: Steps) -> Any:
    """Cut an activation at the ends of its range and round it to the nearest step, halves to the even one.

    The gradient is that of the cut alone: one inside the range, nothing outside; rounding lets it straight through
    (Bengio, Léonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
    Computation", 2013).

    Args:
        values: float32 tensor of any shape.
        steps: of the whole tensor.
    """
    cut = ops.clip(values, steps.low, steps.high)
    return cut + ops.stop_gradient(ops.round(cut / steps.scale) * steps.scale - cut)


def fake_quantize_weights(weights: Any, axes: tuple[int, ...], n_steps: int) -> Any:
    """Round weights to steps of their channel, symmetric about zero, the largest weight at the last step.

    The gradient goes straight through to every weight: none is outside of a range that the weights set themselves.

    Args:
        weights: float32 tensor.
        axes: of the weights that share a channel's steps.
        n_steps: from zero to the last: 127 for eight bits; 64 for the seven that ONNX Runtime is given.
    """
    largest = ops.max(ops.abs(weights), axis=axes, keepdims=True)
    scale = ops.stop_gradient(ops.maximum(largest / n_steps, _SMALLEST_STEP))
    return weights + ops.stop_gradient(ops.round(weights / scale) * scale - weights)
