"""resnet_factored: resnet_large with its late convolutions in low rank, within 2.5 million parameters.

2.5 million parameters, about 494 million multiply-adds. Its weights are made of those of a trained resnet_large
(`fer_edge_train.low_rank`). The ranks are what `benchmarks/studies/factor_ranks.py` finds for 2.49 million parameters
in models/resnet_large, trained on FER-2013.
"""

from __future__ import annotations

from typing import Any

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.resnet_large import resnet_large_network

__all__ = ["ARCHITECTURE", "build_resnet_factored"]

_RANKS = {
    "stage2_block0_0": 112,
    "stage2_block0_1": 128,
    "stage2_block1_0": 144,
    "stage2_block1_1": 152,
    "stage2_block2_0": 136,
    "stage2_block2_1": 96,
    "stage3_block0_0": 96,
    "stage3_block0_1": 64,
    "stage3_block1_0": 88,
    "stage3_block1_1": 40,
}


def build_resnet_factored(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_factored from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    return resnet_large_network(input_shape_hwc, n_classes, name="resnet_factored", ranks=_RANKS)


ARCHITECTURE = Architecture(
    title="resnet_factored: resnet_large with convolutions of low rank (Zhang et al. 2016)",
    builder=build_resnet_factored,
    input_shape_hwc=(48, 48, 1),
    factored_from="resnet_large",
)
