"""mobilenet_v2: MobileNetV2 with ImageNet weights and a head of 32 sigmoids.

The body is Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), as keras.applications
builds it; the head is that of Šikić et al. on ExpW, who count 2,257,984 + 40,992 + 231 = 2,299,207 parameters for 7
classes: average over the map, a fully connected layer of 32 sigmoids, dropout, the output.

Published: the layers and their parameters. Interpretation: the dropout rate (0.2, which Keras gives this network) and
the input size (96 x 96, the smallest that its ImageNet weights were made for).

The body was trained on (pixel - 127.5) / 127.5, and gets (pixel - 128) / 128: less than 1 / 127 apart, too little to
spend an operation on. A gray picture is given to it three times.

keras.applications lets the body's normalizations keep 0.999 of their moments in each step. A fine-tuning of 1,300
steps would end with a quarter of ImageNet's moments (0.999 ** 1300) under weights that have left them: the running
network would not be the trained one. They keep 0.99 here, as Keras' own layer does.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.channels import three_channels

__all__ = ["ARCHITECTURE", "build_mobilenet_v2"]

_HIDDEN_UNITS = 32
_DROPOUT = 0.2
_MOMENTUM = 0.99


def build_mobilenet_v2(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled MobileNetV2 from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width, and 1 or 3 channels (B, G, R) of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    body = keras.applications.MobileNetV2(include_top=False, weights=None, input_tensor=three_channels(pixels))
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    x = layers.GlobalAveragePooling2D(name="pool")(body.output)
    x = layers.Dense(_HIDDEN_UNITS, activation="sigmoid", name="hidden")(x)
    x = layers.Dropout(_DROPOUT, name="dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="mobilenet_v2")


ARCHITECTURE = Architecture(
    title="MobileNetV2 (Sandler et al. 2018) with the head of Šikić et al.",
    builder=build_mobilenet_v2,
    input_shape_hwc=(96, 96, 3),
    min_side_px=32,
    imagenet_body=keras.applications.MobileNetV2,
)
