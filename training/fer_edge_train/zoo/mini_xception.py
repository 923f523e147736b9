"""mini_XCEPTION: four residual modules of depthwise-separable convolutions, no fully connected layer.

Arriaga, Valdenegro-Toro, Plöger, "Real-time Convolutional Neural Networks for Emotion and Gender Classification"
(2017), in the form of Zhou, Liang, Zhang, Yang (IEEE Access 2020), which counts 58,423 parameters, 56,951 of them
trainable, for an input of (48, 48, 1) and 7 classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.fused_batch_norm import batch_normalization

__all__ = ["build_mini_xception"]

_STEM_FILTERS = (8, 8)
_MODULE_FILTERS = (16, 32, 64, 128)


def build_mini_xception(
    input_shape_hwc: tuple[int, int, int] = (48, 48, 1),
    n_classes: int = 7,
    *,
    data_format: str = "channels_last",
) -> Any:
    """Return an uncompiled mini_XCEPTION from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
        data_format: Keras' "channels_last" or "channels_first" (then the input is (channels, height, width)).
    """
    height, width, channels = input_shape_hwc
    shape = (height, width, channels) if data_format == "channels_last" else (channels, height, width)
    pixels = keras.Input(shape, name="pixels")

    x = pixels
    for index, filters in enumerate(_STEM_FILTERS):
        x = layers.Conv2D(filters, 3, use_bias=False, data_format=data_format, name=f"stem{index}_conv")(x)
        x = batch_normalization(data_format, name=f"stem{index}_bn")(x)
        x = layers.ReLU(name=f"stem{index}_relu")(x)
    for index, filters in enumerate(_MODULE_FILTERS):
        x = _residual_module(x, filters, data_format, prefix=f"module{index}")
    x = layers.Conv2D(n_classes, 3, padding="same", data_format=data_format, name="class_maps")(x)
    logits = layers.GlobalAveragePooling2D(data_format=data_format, name="logits")(x)
    return keras.Model(pixels, logits, name="mini_xception")


def _residual_module(x: Any, filters: int, data_format: str, *, prefix: str) -> Any:
    """Two separable convolutions and a pooling beside a strided 1 x 1 shortcut; halves height and width."""
    shortcut = layers.Conv2D(
        filters, 1, strides=2, padding="same", use_bias=False, data_format=data_format, name=f"{prefix}_shortcut"
    )(x)
    shortcut = batch_normalization(data_format, name=f"{prefix}_shortcut_bn")(shortcut)

    for index in (0, 1):
        x = layers.SeparableConv2D(
            filters, 3, padding="same", use_bias=False, data_format=data_format, name=f"{prefix}_sepconv{index}"
        )(x)
        x = batch_normalization(data_format, name=f"{prefix}_bn{index}")(x)
        if index == 0:
            x = layers.ReLU(name=f"{prefix}_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", data_format=data_format, name=f"{prefix}_pool")(x)
    return layers.Add(name=f"{prefix}_add")([x, shortcut])
