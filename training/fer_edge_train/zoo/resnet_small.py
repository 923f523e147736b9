"""resnet_small: a residual network for faces of 48 px within the budget of a Raspberry Pi 5 or a Jetson.

Basic blocks of He et al., "Deep Residual Learning" (2016); shortcuts that halve the picture average before their 1 x 1
convolution (He et al., "Bag of Tricks", 2019, ResNet-D). 1.5 million parameters, about 160 million multiply-adds.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture

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
    x = layers.ReLU(name="stem_relu")(_convolution(pixels, _STAGES[0][0], 1, name="stem"))
    for stage, (filters, n_blocks) in enumerate(_STAGES):
        for block in range(n_blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            x = _block(x, filters, strides, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(_DROPOUT, name="dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="resnet_small")


def _convolution(x: Any, filters: int, strides: int, *, name: str, size: int = 3) -> Any:
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def _block(x: Any, filters: int, strides: int, *, name: str) -> Any:
    """Two 3 x 3 convolutions beside a shortcut."""
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same", name=f"{name}_shortcut_pool")(shortcut)
    if strides > 1 or x.shape[-1] != filters:
        shortcut = _convolution(shortcut, filters, 1, name=f"{name}_shortcut", size=1)
    x = layers.ReLU(name=f"{name}_relu0")(_convolution(x, filters, strides, name=f"{name}_0"))
    x = _convolution(x, filters, 1, name=f"{name}_1")
    return layers.ReLU(name=f"{name}_relu1")(layers.Add(name=f"{name}_add")([x, shortcut]))


ARCHITECTURE = Architecture(
    title="resnet_small: basic residual blocks (He et al. 2016) with averaging shortcuts (He et al. 2019)",
    builder=build_resnet_small,
    input_shape_hwc=(48, 48, 1),
)
