"""resnet50: the ResNet-50 that Zhou et al. compare mini_XCEPTION with.

He et al., "Deep Residual Learning for Image Recognition" (2016), as keras.applications builds it, with one output for
each class.

Published by Zhou et al.: 49 convolutions (the four in projecting shortcuts are not counted), 2 poolings, 1 fully
connected layer, 25,500,000 parameters, 57.5 % on FER-2013 from random weights. That number is rounded, and it is the
size for ImageNet's 1000 classes: Keras counts 25,636,712 for those and colour pictures, 23,595,783 for 7 classes and
gray ones. The input is the 48 x 48 of FER-2013, taken as it is, gray or colour.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture

__all__ = ["ARCHITECTURE", "build_resnet50"]


def build_resnet50(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled ResNet-50 from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    body = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=pixels)
    x = layers.GlobalAveragePooling2D(name="pool")(body.output)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="resnet50")


ARCHITECTURE = Architecture(
    title="ResNet-50 (He et al. 2016), compared by Zhou et al. 2020",
    builder=build_resnet50,
    input_shape_hwc=(48, 48, 1),
    min_side_px=32,
)
