"""The networks: one file each, one line each in the table below.

A builder takes the input shape (height, width, channels), the number of classes and Keras' data format, and returns an
uncompiled `keras.Model` that maps float32 pixels in [-1, 1) to logits (no softmax: the loss, the quantizer and the
runtime each want the logits).
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any, Protocol

from fer_edge.errors import UsageError

__all__ = ["ARCHITECTURES", "Builder", "build", "check_name"]

ARCHITECTURES: dict[str, str] = {
    "mini_xception": "fer_edge_train.zoo.mini_xception:build_mini_xception",
}


class Builder(Protocol):
    """Signature that every network's builder has."""

    def __call__(self, input_shape_hwc: tuple[int, int, int], n_classes: int, *, data_format: str) -> Any:
        """Return an uncompiled keras.Model from pixels to logits."""
        ...


def check_name(architecture: str) -> None:
    """Check that a network has the name, without importing it.

    Raises:
        UsageError: no network has that name.
    """
    if architecture not in ARCHITECTURES:
        near = difflib.get_close_matches(architecture, ARCHITECTURES, n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(ARCHITECTURES))
        raise UsageError(f"no network is named {architecture!r}; {hint}")


def build(
    architecture: str,
    input_shape_hwc: tuple[int, int, int],
    n_classes: int,
    *,
    data_format: str = "channels_last",
) -> Any:
    """Build the network named `architecture`, with weights drawn from Keras' current random state.

    Raises:
        UsageError: no network has that name.
    """
    check_name(architecture)
    module_name, _, function_name = ARCHITECTURES[architecture].partition(":")
    builder: Builder = getattr(importlib.import_module(module_name), function_name)
    return builder(input_shape_hwc, n_classes, data_format=data_format)
