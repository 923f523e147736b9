"""resnet_large: a residual network for hosts, and the teacher of the smaller ones; its file stays below 20 MB.

4.5 million parameters, about 610 million multiply-adds; the blocks are in `residual`.
"""

from __future__ import annotations

from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import residual_network

__all__ = ["ARCHITECTURE", "build_resnet_large"]

_STEM = (("stem", 48, 1),)
_STAGES = ((48, 1, False), (96, 2, False), (192, 3, False), (256, 2, False))
_DROPOUT = 0.4


def build_resnet_large(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_large from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return residual_network(
        input_shape_hwc, n_classes, stem=_STEM, stages=_STAGES, dropout=_DROPOUT, name="resnet_large"
    )


ARCHITECTURE = Architecture(
    title="resnet_large: basic residual blocks (He et al. 2016) with averaging shortcuts (He et al. 2019)",
    builder=build_resnet_large,
    input_shape_hwc=(48, 48, 1),
)
