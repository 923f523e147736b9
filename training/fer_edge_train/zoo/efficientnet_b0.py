"""efficientnet_b0: EfficientNet-B0 with ImageNet weights and a head of 64 and 32 sigmoids.

The body is Tan, Le, "EfficientNet: Rethinking Model Scaling" (2019), as keras.applications builds it; the head is that
of Šikić et al. on ExpW, who count 4,049,564 + 81,984 + 2,080 + 231 = 4,133,859 parameters for 7 classes: average over
the map, fully connected layers of 64 and 32 sigmoids with dropout after each, the output. Keras counts 4,133,866: its
body starts with a Normalization layer, whose three means, three variances and one count are weights that nothing
trains.

Published: the layers and their parameters. Interpretation: the dropout rate (0.2, which Keras gives this network) and
the input size (96 x 96, as for mobilenet_v2).

The body expects pixels of 0 to 255, divides them by 255, and its Normalization would then subtract ImageNet's mean and
divide by its deviation. Here one layer in front of it undoes the pixel coding exactly and does that step as well: its
numbers are constants, so copying weights between two networks can never leave the normalization behind, and a network
trained from random weights starts from normalized pixels too. The body's own layer keeps mean 0 and variance 1. A gray
picture is given to the body three times.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.recipe import PIXEL_MEAN, PIXEL_STD
from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.channels import three_channels

__all__ = ["ARCHITECTURE", "build_efficientnet_b0"]

_HIDDEN_UNITS = (64, 32)
_DROPOUT = 0.2
# Of ImageNet's pixels divided by 255, in B, G, R as pixels come here: Keras' weights go with these.
_IMAGENET_MEAN = (0.406, 0.456, 0.485)
_IMAGENET_STD = (0.225, 0.224, 0.229)


def build_efficientnet_b0(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled EfficientNet-B0 from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width, and 1 or 3 channels (B, G, R) of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    # x of the coding is the pixel x * STD + MEAN; the body's division by 255 turns what follows into
    # (pixel / 255 - mean) / deviation.
    x = layers.Rescaling(
        scale=[PIXEL_STD / deviation for deviation in _IMAGENET_STD],
        offset=[
            (PIXEL_MEAN - 255.0 * mean) / deviation
            for mean, deviation in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)
        ],
        name="imagenet_pixels",
    )(three_channels(pixels))
    body = keras.applications.EfficientNetB0(include_top=False, weights=None, input_tensor=x)
    x = layers.GlobalAveragePooling2D(name="pool")(body.output)
    for index, units in enumerate(_HIDDEN_UNITS):
        x = layers.Dense(units, activation="sigmoid", name=f"hidden{index}")(x)
        x = layers.Dropout(_DROPOUT, name=f"dropout{index}")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="efficientnet_b0")


ARCHITECTURE = Architecture(
    title="EfficientNet-B0 (Tan, Le 2019) with the head of Šikić et al.",
    builder=build_efficientnet_b0,
    input_shape_hwc=(96, 96, 3),
    min_side_px=32,
    imagenet_body=keras.applications.EfficientNetB0,
)
