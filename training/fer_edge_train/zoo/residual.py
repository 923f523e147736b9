"""The basic residual block, and the networks of it, which differ in their stem and stages.

Two 3 x 3 convolutions beside a shortcut (He et al., "Deep Residual Learning", 2016); a shortcut that halves the picture
averages before its 1 x 1 convolution (He et al., "Bag of Tricks", 2019, ResNet-D).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

__all__ = ["basic_block", "convolution", "residual_network"]


def convolution(x: Any, filters: int, *, name: str, strides: int = 1, size: int = 3, separable: bool = False) -> Any:
    """Return the batch-normalized convolution of a map (n, h, w, c), `strides` times smaller both ways, rounded up.

    Args:
        x: the map.
        filters: channels of the answer.
        name: prefix of the layers' names.
        strides: of the convolution, both ways.
        size: side of the kernel.
        separable: a depthwise and a 1 x 1 convolution in place of a full one.
    """
    kind = layers.SeparableConv2D if separable else layers.Conv2D
    x = kind(filters, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def basic_block(x: Any, filters: int, *, name: str, strides: int = 1, separable: bool = False) -> Any:
    """Return two convolutions beside a shortcut, summed, with a ReLU; shapes and arguments as of `convolution`."""
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same", name=f"{name}_shortcut_pool")(shortcut)
    if strides > 1 or x.shape[-1] != filters:
        shortcut = convolution(shortcut, filters, size=1, name=f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_relu0")(
        convolution(x, filters, strides=strides, separable=separable, name=f"{name}_0")
    )
    x = convolution(x, filters, separable=separable, name=f"{name}_1")
    return layers.ReLU(name=f"{name}_relu1")(layers.Add(name=f"{name}_add")([x, shortcut]))


def residual_network(
    input_shape_hwc: tuple[int, int, int],
    n_classes: int,
    *,
    stem: Sequence[tuple[str, int, int]],
    stages: Sequence[tuple[int, int, bool]],
    dropout: float,
    name: str,
) -> Any:
    """Return an uncompiled network from pixels in [-1, 1) to logits: convolutions, stages of blocks, mean, dropout.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
        stem: name, filters and strides of each convolution before the blocks.
        stages: filters, number of blocks, and whether they are separable; each stage but the first halves the picture.
        dropout: share of the means left out while training.
        name: of the network.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for layer_name, filters, strides in stem:
        x = layers.ReLU(name=f"{layer_name}_relu")(convolution(x, filters, strides=strides, name=layer_name))
    for stage, (filters, n_blocks, separable) in enumerate(stages):
        for block in range(n_blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            x = basic_block(x, filters, strides=strides, separable=separable, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(pixels, layers.Dense(n_classes, name="logits")(x), name=name)
