"""plain_cnn: convolutions one after the other, the "CNN" that Zhou et al. compare mini_XCEPTION with.

Published by Zhou et al.: 58.9 % on FER-2013, and that its layers are about as many as mini_XCEPTION's; no layout, no
count. mini_XCEPTION's own paper (Arriaga et al. 2017) compares with a plain network too: 9 convolutions with ReLU and
batch normalization, a global average instead of fully connected layers, about 600,000 parameters.

Interpretation: those 9 convolutions, as pairs of 3 x 3 with a 2 x 2 pooling behind each pair and a last one to the
class maps; filters that double from 24, the last pair at 176 so that the count is near 600,000: it is 605,615 for a
gray input and 7 classes, of any size.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture

__all__ = ["ARCHITECTURE", "build_plain_cnn"]

_PAIR_FILTERS = (24, 48, 96, 176)


def build_plain_cnn(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled plain convolutional network from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for pair, filters in enumerate(_PAIR_FILTERS):
        for index in (0, 1):
            name = f"pair{pair}_{index}"
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"pair{pair}_pool")(x)
    x = layers.Conv2D(n_classes, 3, padding="same", name="class_maps")(x)
    logits = layers.GlobalAveragePooling2D(name="logits")(x)
    return keras.Model(pixels, logits, name="plain_cnn")


ARCHITECTURE = Architecture(
    title="plain CNN of 9 convolutions (after Arriaga et al. 2017), compared by Zhou et al. 2020",
    builder=build_plain_cnn,
    input_shape_hwc=(48, 48, 1),
    min_side_px=16,
)
