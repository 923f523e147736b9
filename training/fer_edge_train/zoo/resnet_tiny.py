"""resnet_tiny: a thin residual network with fewer weights than mini_XCEPTION (58,423) and more multiply-adds for each.

55,735 weights, 12.0 million multiply-adds. Where pictures are large and channels few, a full 3 x 3 convolution costs
few weights and mixes what a depthwise one cannot; the last stage, where channels are many, is of separable ones.
"""

from __future__ import annotations

from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import residual_network

__all__ = ["ARCHITECTURE", "build_resnet_tiny"]

_STEM = (("stem0", 16, 1), ("stem1", 16, 2))
_STAGES = ((16, 2, False), (32, 2, False), (64, 1, True))
_DROPOUT = 0.1


def build_resnet_tiny(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_tiny from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return residual_network(
        input_shape_hwc, n_classes, stem=_STEM, stages=_STAGES, dropout=_DROPOUT, name="resnet_tiny"
    )


ARCHITECTURE = Architecture(
    title="resnet_tiny: thin residual blocks (He et al. 2016), the last of them separable",
    builder=build_resnet_tiny,
    input_shape_hwc=(48, 48, 1),
)
