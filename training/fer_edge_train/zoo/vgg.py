"""vgg: the VGG-Net that Zhou et al. compare mini_XCEPTION with.

Published by Zhou et al.: 10 convolutions, 4 poolings, 3 fully connected layers, 59.3 % on FER-2013, and 87,566,680
parameters. The first three numbers are exactly the VGG13 that Barsoum et al., "Training Deep Networks for Facial
Expression Recognition with Crowd-Sourced Label Distribution" (2016), train on FER+: convolutions of 64, 64; 128, 128;
256, 256, 256; 256, 256, 256 filters of 3 x 3, each group with a 2 x 2 pooling and dropout of 25 % behind it, and fully
connected layers of 1024, 1024 and one unit for each class, the first two with dropout of 50 %. For their gray input of
64 x 64 and 7 classes that network has 8,756,679 parameters.

Interpretation: the published count is 8,756,680, one more than this, with a digit typed twice. Weights of 350 MB would
not fit into the process of 3.2 % of 16 GB that the paper measures, beside one of 3.1 % for mini_XCEPTION. The initial
weights are He et al.'s (2015), made for ReLU without normalization.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture

__all__ = ["ARCHITECTURE", "build_vgg"]

_GROUPS = ((64, 64), (128, 128), (256, 256, 256), (256, 256, 256))
_GROUP_DROPOUT = 0.25
_HIDDEN_UNITS = (1024, 1024)
_HIDDEN_DROPOUT = 0.5


def build_vgg(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled VGG13 from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for group, group_filters in enumerate(_GROUPS):
        for index, filters in enumerate(group_filters):
            name = f"group{group}_conv{index}"
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name)(
                x
            )
        x = layers.MaxPooling2D(2, name=f"group{group}_pool")(x)
        x = layers.Dropout(_GROUP_DROPOUT, name=f"group{group}_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(_HIDDEN_UNITS):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"hidden{index}")(x)
        x = layers.Dropout(_HIDDEN_DROPOUT, name=f"hidden{index}_dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="vgg")


ARCHITECTURE = Architecture(
    title="VGG13 (Barsoum et al. 2016), compared by Zhou et al. 2020",
    builder=build_vgg,
    input_shape_hwc=(64, 64, 1),
    min_side_px=16,
)
