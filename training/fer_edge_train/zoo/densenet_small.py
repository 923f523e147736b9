"""densenet_small: the DenseNet-1 that Zhou et al. compare mini_XCEPTION with.

Huang et al., "Densely Connected Convolutional Networks" (2017), in the small form of Zhao, Yang, Yu, "Expression
Recognition Method Based on a Lightweight Convolutional Neural Network" (2020).

Published: 36 convolutions, 4 poolings, 1 fully connected layer, 95,263 parameters, 70.9 % on FER-2013, and an input of
several channels. Interpretation: DenseNet-BC as its authors propose it, with a stem of 64 filters of 7 x 7, bottlenecks
of four times the growth rate, and transitions that halve channels and map. With four blocks of four layers (1 + 32 + 3
convolutions; 3 poolings and the global one), growth rate 8, three input channels, biases, batch normalization before
each convolution behind the stem and none behind the last block, it has exactly 95,263 for 7 classes. The stem's step of
2 is DenseNet's too. A gray picture is given to it three times.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture
from fer_edge_train.zoo.channels import three_channels

__all__ = ["ARCHITECTURE", "build_densenet_small"]

_STEM_FILTERS = 64
_BLOCK_LAYERS = (4, 4, 4, 4)
_GROWTH = 8
_BOTTLENECK = 4 * _GROWTH


def build_densenet_small(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled small DenseNet from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width, and 1 or 3 channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = layers.Conv2D(_STEM_FILTERS, 7, strides=2, padding="same", name="stem_conv")(three_channels(pixels))
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for block, n_layers in enumerate(_BLOCK_LAYERS):
        if block > 0:
            x = _normed_convolution(x, x.shape[-1] // 2, 1, name=f"transition{block}")
            x = layers.AveragePooling2D(2, name=f"transition{block}_pool")(x)
        for index in range(n_layers):
            name = f"block{block}_{index}"
            new = _normed_convolution(x, _BOTTLENECK, 1, name=f"{name}_narrow")
            new = _normed_convolution(new, _GROWTH, 3, name=f"{name}_grow")
            x = layers.Concatenate(name=f"{name}_concat")([x, new])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="densenet_small")


def _normed_convolution(x: Any, filters: int, size: int, *, name: str) -> Any:
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.Conv2D(filters, size, padding="same", name=f"{name}_conv")(x)


ARCHITECTURE = Architecture(
    title="DenseNet-BC of 95,263 parameters (Huang et al. 2017; Zhao et al. 2020), compared by Zhou et al. 2020",
    builder=build_densenet_small,
    input_shape_hwc=(48, 48, 1),
    min_side_px=16,
)
