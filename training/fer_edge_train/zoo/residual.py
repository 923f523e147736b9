"""The basic residual block, and the networks of it, which differ in their stem and stages.

Two 3 x 3 convolutions beside a shortcut (He et al., "Deep Residual Learning", 2016); a shortcut that halves the picture
averages before its 1 x 1 convolution (He et al., "Bag of Tricks", 2019, ResNet-D). A convolution of low rank is one to
fewer channels and a 1 x 1 convolution to the asked number, with nothing between them (Zhang et al., "Accelerating Very
Deep Convolutional Networks", 2016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

__all__ = ["basic_block", "convolution", "residual_network"]


def convolution(
    x: Any,
    filters: int,
    *,
    name: str,
    strides: int = 1,
    size: int = 3,
    separable: bool = False,
    rank: int | None = None,
) -> Any:
    """Return the batch-normalized convolution of a map (n, h, w, c), `strides` times smaller both ways, rounded up.

    Args:
        x: the map.
        filters: channels of the answer.
        name: prefix of the layers' names.
        strides: of the convolution, both ways.
        size: side of the kernel.
        separable: a depthwise and a 1 x 1 convolution in place of a full one.
        rank: channels between the two convolutions of one of low rank; None for one convolution.

    Raises:
        ValueError: separable and of low rank.
    """
    if separable and rank is not None:
        raise ValueError(f"{name}: a separable convolution has no low rank")
    kind = layers.SeparableConv2D if separable else layers.Conv2D
    channels = filters if rank is None else rank
    x = kind(channels, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    if rank is not None:
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_expand")(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def basic_block(
    x: Any,
    filters: int,
    *,
    name: str,
    strides: int = 1,
    separable: bool = False,
    ranks: Mapping[str, int] | None = None,
) -> Any:
    """Return two convolutions beside a shortcut, summed, with a ReLU; shapes and arguments as of `convolution`.

    `ranks` has those of the block's convolutions of low rank, by name.
    """
    rank = ranks or {}
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same", name=f"{name}_shortcut_pool")(shortcut)
    if strides > 1 or x.shape[-1] != filters:
        shortcut = convolution(shortcut, filters, size=1, name=f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_relu0")(
        convolution(x, filters, strides=strides, separable=separable, name=f"{name}_0", rank=rank.get(f"{name}_0"))
    )
    x = convolution(x, filters, separable=separable, name=f"{name}_1", rank=rank.get(f"{name}_1"))
    return layers.ReLU(name=f"{name}_relu1")(layers.Add(name=f"{name}_add")([x, shortcut]))


def residual_network(
    input_shape_hwc: tuple[int, int, int],
    n_classes: int,
    *,
    stem: Sequence[tuple[str, int, int]],
    stages: Sequence[tuple[int, int, bool]],
    dropout: float,
    name: str,
    ranks: Mapping[str, int] | None = None,
) -> Any:
    """Return an uncompiled network from pixels in [-1, 1) to logits: convolutions, stages of blocks, mean, dropout.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
        stem: name, filters and strides of each convolution before the blocks.
        stages: filters, number of blocks, and whether they are separable; each stage but the first halves the picture.
        dropout: share of the means left out while training.
        name: of the network.
        ranks: of the blocks' convolutions of low rank, by name, e.g. {"stage3_block1_1": 40}.

    Raises:
        ValueError: a rank is of no convolution of a block.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for layer_name, filters, strides in stem:
        x = layers.ReLU(name=f"{layer_name}_relu")(convolution(x, filters, strides=strides, name=layer_name))
    for stage, (filters, n_blocks, separable) in enumerate(stages):
        for block in range(n_blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            block_name = f"stage{stage}_block{block}"
            x = basic_block(x, filters, strides=strides, separable=separable, name=block_name, ranks=ranks)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    network = keras.Model(pixels, layers.Dense(n_classes, name="logits")(x), name=name)
    unknown = {f"{each}_expand" for each in ranks or {}} - {layer.name for layer in network.layers}
    if unknown:
        raise ValueError(f"{name}: no block has a convolution for {', '.join(sorted(unknown))}")
    return network
