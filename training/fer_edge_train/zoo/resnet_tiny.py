"""resnet_tiny: a thin residual network with fewer weights than mini_XCEPTION (58,423) and more multiply-adds for each.

55,735 weights, 12.0 million multiply-adds. Where pictures are large and channels few, a full 3 x 3 convolution costs
few weights and mixes what a depthwise one cannot; the last stage, where channels are many, is of separable ones.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import basic_block, convolution

__all__ = ["ARCHITECTURE", "build_resnet_tiny"]

_STEM_FILTERS = 16
_STAGES = ((16, 2, False), (32, 2, False), (64, 1, True))  # filters, blocks, separable; each but the first halves
_DROPOUT = 0.1


def build_resnet_tiny(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_tiny from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for index, strides in enumerate((1, 2)):
        x = convolution(x, _STEM_FILTERS, strides=strides, name=f"stem{index}")
        x = layers.ReLU(name=f"stem{index}_relu")(x)
    for stage, (filters, n_blocks, separable) in enumerate(_STAGES):
        for block in range(n_blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            x = basic_block(x, filters, strides=strides, separable=separable, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(_DROPOUT, name="dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="resnet_tiny")


ARCHITECTURE = Architecture(
    title="resnet_tiny: thin residual blocks (He et al. 2016), the last of them separable",
    builder=build_resnet_tiny,
    input_shape_hwc=(48, 48, 1),
)
