"""resnet_small: a residual network for faces of 48 px that a Raspberry Pi 4 can run at camera rate.

1.5 million parameters, about 160 million multiply-adds; the blocks are in `residual`.
"""

from __future__ import annotations

from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import residual_network

__all__ = ["ARCHITECTURE", "build_resnet_small"]

_STEM = (("stem", 24, 1),)
_STAGES = ((24, 1, False), (64, 1, False), (128, 2, False), (256, 1, False))
_DROPOUT = 0.3


def build_resnet_small(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_small from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return residual_network(
        input_shape_hwc, n_classes, stem=_STEM, stages=_STAGES, dropout=_DROPOUT, name="resnet_small"
    )


ARCHITECTURE = Architecture(
    title="resnet_small: basic residual blocks (He et al. 2016) with averaging shortcuts (He et al. 2019)",
    builder=build_resnet_small,
    input_shape_hwc=(48, 48, 1),
)
