"""sepnet_tiny: a narrow and deep residual network of separable convolutions with fewer weights than mini_XCEPTION.

56,551 weights, 11.3 million multiply-adds. Where mini_XCEPTION spends its 58,423 weights on two layers a stage and
pools between them, this one spends them on more layers of fewer channels, and sees the picture at 24 x 24 for longer.
"""

from __future__ import annotations

from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import residual_network

__all__ = ["ARCHITECTURE", "build_sepnet_tiny"]

_STEM = (("stem0", 16, 1), ("stem1", 32, 2))
_STAGES = ((32, 3, True), (56, 3, True), (84, 1, True))
_DROPOUT = 0.1


def build_sepnet_tiny(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled sepnet_tiny from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return residual_network(
        input_shape_hwc, n_classes, stem=_STEM, stages=_STAGES, dropout=_DROPOUT, name="sepnet_tiny"
    )


ARCHITECTURE = Architecture(
    title="sepnet_tiny: residual blocks of separable convolutions, narrow and deep",
    builder=build_sepnet_tiny,
    input_shape_hwc=(48, 48, 1),
)
