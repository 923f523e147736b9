"""sepnet_tiny: a narrow and deep residual network of separable convolutions with fewer weights than mini_XCEPTION.

56,551 weights, 11.3 million multiply-adds. Where mini_XCEPTION spends its 58,423 weights on two layers a stage and
pools between them, this one spends them on more layers of fewer channels, and sees the picture at 24 x 24 for longer.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.residual import basic_block, convolution

__all__ = ["ARCHITECTURE", "build_sepnet_tiny"]

_STEM_FILTERS = (16, 32)  # the second convolution halves the picture
_STAGES = ((32, 3), (56, 3), (84, 1))  # filters and blocks; each stage but the first halves the picture
_DROPOUT = 0.1


def build_sepnet_tiny(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled sepnet_tiny from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for index, filters in enumerate(_STEM_FILTERS):
        x = convolution(x, filters, strides=index + 1, name=f"stem{index}")
        x = layers.ReLU(name=f"stem{index}_relu")(x)
    for stage, (filters, n_blocks) in enumerate(_STAGES):
        for block in range(n_blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            x = basic_block(x, filters, strides=strides, separable=True, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(_DROPOUT, name="dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="sepnet_tiny")


ARCHITECTURE = Architecture(
    title="sepnet_tiny: residual blocks of separable convolutions, narrow and deep",
    builder=build_sepnet_tiny,
    input_shape_hwc=(48, 48, 1),
)
