"""resnet_large: a residual network for hosts, and the teacher of the smaller ones; its file stays below 20 MB.

4.5 million parameters, about 610 million multiply-adds; the blocks are in `residual`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import residual_network

__all__ = ["ARCHITECTURE", "build_resnet_large", "resnet_large_network"]

_STEM = (("stem", 48, 1),)
_STAGES = ((48, 1, False), (96, 2, False), (192, 3, False), (256, 2, False))
_DROPOUT = 0.4


def build_resnet_large(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_large from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return resnet_large_network(input_shape_hwc, n_classes, name="resnet_large", ranks={})


def resnet_large_network(
    input_shape_hwc: tuple[int, int, int], n_classes: int, *, name: str, ranks: Mapping[str, int]
) -> Any:
    """Return the same with some convolutions in low rank; arguments as of `residual_network`."""
    return residual_network(
        input_shape_hwc, n_classes, stem=_STEM, stages=_STAGES, dropout=_DROPOUT, name=name, ranks=ranks
    )


ARCHITECTURE = Architecture(
    title="resnet_large: basic residual blocks (He et al. 2016) with averaging shortcuts (He et al. 2019)",
    builder=build_resnet_large,
    input_shape_hwc=(48, 48, 1),
)
