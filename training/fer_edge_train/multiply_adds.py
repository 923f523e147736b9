"""How many multiply-adds a network does for one picture."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["multiply_adds"]


def multiply_adds(model: Any) -> int:
    """Return the multiply-adds of the convolutions and dense layers of a keras.Model for one input.

    Normalization, activations, poolings and additions are left out, as is usual; a converter folds the first into the
    convolutions.
    """
    return sum(multiply_adds(layer) if hasattr(layer, "layers") else _of_layer(layer) for layer in model.layers)


def _of_layer(layer: Any) -> int:
    kind = type(layer).__name__
    if kind not in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"):
        return 0
    n_positions = math.prod(layer.output.shape[1:-1])
    kernels = [weight for weight in layer.weights if len(weight.shape) > 1]
    # Each weight of a kernel is used once at every position of the output; a depthwise kernel's positions are those of
    # its own output, which a pointwise kernel after it keeps.
    return int(n_positions * sum(math.prod(kernel.shape) for kernel in kernels))
