"""resnet_medium: a residual network within the budget of a Raspberry Pi 5 or a Jetson (2.5 million parameters).

2.2 million parameters, about 350 million multiply-adds; the blocks are in `residual`.
"""

from __future__ import annotations

from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import residual_network

__all__ = ["ARCHITECTURE", "build_resnet_medium"]

_STEM = (("stem", 40, 1),)
_STAGES = ((40, 1, False), (72, 2, False), (144, 3, False), (256, 1, False))
_DROPOUT = 0.3


def build_resnet_medium(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_medium from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return residual_network(
        input_shape_hwc, n_classes, stem=_STEM, stages=_STAGES, dropout=_DROPOUT, name="resnet_medium"
    )


ARCHITECTURE = Architecture(
    title="resnet_medium: basic residual blocks (He et al. 2016) with averaging shortcuts (He et al. 2019)",
    builder=build_resnet_medium,
    input_shape_hwc=(48, 48, 1),
)
