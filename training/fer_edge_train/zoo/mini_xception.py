"""mini_XCEPTION: four residual modules of depthwise-separable convolutions, no fully connected layer.

Arriaga, Valdenegro-Toro, Plöger, "Real-time Convolutional Neural Networks for Emotion and Gender Classification"
(2017), in the form of Zhou, Liang, Zhang, Yang (IEEE Access 2020), which counts 58,423 parameters, 56,951 of them
trainable, for an input of (48, 48, 1) and 7 classes. Inputs of 64 x 64 (Arriaga) and 24 x 24 (Guo, Song, Yang) give the
same number: the last layer averages whatever map is left. The L2 that Zhou et al. put on the kernels is a matter of the
recipe (weight decay), not of the network.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture

__all__ = ["ARCHITECTURE", "build_mini_xception"]

_STEM_FILTERS = (8, 8)
_MODULE_FILTERS = (16, 32, 64, 128)


def build_mini_xception(input_shape_hwc: tuple[int, int, int] = (48, 48, 1), n_classes: int = 7) -> Any:
    """Return an uncompiled mini_XCEPTION from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")

    x = pixels
    for index, filters in enumerate(_STEM_FILTERS):
        x = layers.Conv2D(filters, 3, use_bias=False, name=f"stem{index}_conv")(x)
        x = layers.BatchNormalization(name=f"stem{index}_bn")(x)
        x = layers.ReLU(name=f"stem{index}_relu")(x)
    for index, filters in enumerate(_MODULE_FILTERS):
        x = _residual_module(x, filters, prefix=f"module{index}")
    x = layers.Conv2D(n_classes, 3, padding="same", name="class_maps")(x)
    logits = layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(pixels, logits, name="mini_xception")


def _residual_module(x: Any, filters: int, *, prefix: str) -> Any:
    """Two separable convolutions and a pooling beside a strided 1 x 1 shortcut; halves height and width."""
    shortcut = layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False, name=f"{prefix}_shortcut")(x)
    shortcut = layers.BatchNormalization(name=f"{prefix}_shortcut_bn")(shortcut)

    for index in (0, 1):
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=f"{prefix}_sepconv{index}")(x)
        x = layers.BatchNormalization(name=f"{prefix}_bn{index}")(x)
        if index == 0:
            x = layers.ReLU(name=f"{prefix}_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{prefix}_pool")(x)
    return layers.Add(name=f"{prefix}_add")([x, shortcut])


ARCHITECTURE = Architecture(
    title="mini_XCEPTION (Arriaga et al. 2017; Zhou et al. 2020)",
    builder=build_mini_xception,
    input_shape_hwc=(48, 48, 1),
    min_side_px=5,
)
