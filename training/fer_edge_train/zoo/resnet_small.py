"""resnet_small: a residual network for faces of 48 px within the budget of a Raspberry Pi 5 or a Jetson.

1.5 million parameters, about 160 million multiply-adds; the blocks are in `residual`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import basic_block, convolution

__all__ = ["ARCHITECTURE", "build_resnet_small"]

_STAGES = ((24, 1), (64, 1), (128, 2), (256, 1))  # filters and blocks; each stage but the first halves the picture
_DROPOUT = 0.3


def build_resnet_small(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled resnet_small from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = layers.ReLU(name="stem_relu")(convolution(pixels, _STAGES[0][0], name="stem"))
    for stage, (filters, n_blocks) in enumerate(_STAGES):
        for block in range(n_blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            x = basic_block(x, filters, strides=strides, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(_DROPOUT, name="dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="resnet_small")


ARCHITECTURE = Architecture(
    title="resnet_small: basic residual blocks (He et al. 2016) with averaging shortcuts (He et al. 2019)",
    builder=build_resnet_small,
    input_shape_hwc=(48, 48, 1),
)
