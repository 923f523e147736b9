"""inception_light: two convolutions, three and five Inception modules, two fully connected layers.

Jin, Yang, Wei, "Lightweight Facial Emotion Recognition Network Based on Inception V3", for gray faces of 48 x 48.

Published (Table 1 and the text): maps of 48 x 48 x 32, 48 x 48 x 64, 24 x 24 x 64 (pooling, dropout of 25 %), 12 x 12 x
256 ("3x Inception"), 6 x 6 x 512 ("5x Inception", kernels 1 x 3 and 3 x 1), 3 x 3 x 512 (pooling); then 4608, 1024, 256
(dropout of 25 % after both) and 7 units; ReLU and batch normalization with each convolution; 70 % of Inception V3's
parameters, which has 23.85 million.

Interpretation:
- "3x" and "5x" are three and five modules, as in Inception V3's own tables, which the paper describes with these words.
- The table has two poolings and the maps still halve twice more. The text has the asymmetric modules work on maps of 12
  x 12, so a group halves in its last module, where the last convolution of each branch has a step of 2 (1 x 3 and 3 x 1
  along their own axis each).
- Figure 2 is Inception V3's module (Szegedy et al. 2016, figures 5 and 6): a 1 x 1 branch, a branch of one kernel, a
  branch of two, and a 3 x 3 average with a 1 x 1 convolution. "Kernel" means 3 x 3 in the first group (two replace a 5
  x 5), 1 x 3 followed by 3 x 1 in the second (n = 3). Each branch gives a quarter of the channels.
- The 1 x 1 convolutions in front of the kernels, which no table gives, have 128 channels in the first group and 344 in
  the second: 16,764,135 parameters in all for 7 classes, 70.3 % of Inception V3's.
- A "fill" of 2 with a 3 x 3 kernel would grow the map; its size in the table stays, so the border is Keras' "same".
- Batch normalization stands before the ReLU, as in Inception V3.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge_train.zoo.architecture import Architecture

__all__ = ["ARCHITECTURE", "build_inception_light"]

_STEM_FILTERS = (32, 64)
_DROPOUT = 0.25
# A kernel is one or two convolutions: of each, the size and the steps that it takes where the branch halves the map.
_Kernel = tuple[tuple[tuple[int, int], tuple[int, int]], ...]
_POINT: _Kernel = (((1, 1), (2, 2)),)
_SQUARE: _Kernel = (((3, 3), (2, 2)),)
_ASYMMETRIC: _Kernel = (((1, 3), (1, 2)), ((3, 1), (2, 1)))
# modules, channels that leave each, channels of the 1 x 1 convolutions in front of the kernels, the kernel
_GROUPS = ((3, 256, 128, _SQUARE), (5, 512, 344, _ASYMMETRIC))
_HIDDEN_UNITS = (1024, 256)


def build_inception_light(input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Return an uncompiled inception_light from pixels in [-1, 1) to logits.

    Args:
        input_shape_hwc: height, width and channels of one image.
        n_classes: length of the logits.
    """
    pixels = keras.Input(input_shape_hwc, name="pixels")
    x = pixels
    for index, filters in enumerate(_STEM_FILTERS):
        x = _convolution(x, filters, (3, 3), name=f"stem{index}")
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    x = layers.Dropout(_DROPOUT, name="stem_dropout")(x)
    for group, (n_modules, channels, narrow, kernel) in enumerate(_GROUPS):
        for index in range(n_modules):
            halve = index == n_modules - 1
            x = _inception(x, channels // 4, narrow, kernel, halve=halve, name=f"group{group}_module{index}")
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(_HIDDEN_UNITS):
        x = layers.Dense(units, activation="relu", name=f"hidden{index}")(x)
        x = layers.Dropout(_DROPOUT, name=f"hidden{index}_dropout")(x)
    logits = layers.Dense(n_classes, name="logits")(x)
    return keras.Model(pixels, logits, name="inception_light")


def _inception(x: Any, filters: int, narrow: int, kernel: _Kernel, *, halve: bool, name: str) -> Any:
    """Four branches of `filters` channels each, side by side; `halve` halves height and width."""
    averaged = layers.AveragePooling2D(3, strides=1, padding="same", name=f"{name}_average")(x)
    branches = [
        _branch(source, kernels, filters, narrow, halve=halve, name=f"{name}_{branch}")
        for branch, source, kernels in (
            ("point", x, [_POINT]),
            ("one", x, [_POINT, kernel]),
            ("two", x, [_POINT, kernel, kernel]),
            ("pooled", averaged, [_POINT]),
        )
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _branch(x: Any, kernels: list[_Kernel], filters: int, narrow: int, *, halve: bool, name: str) -> Any:
    """Convolutions of `narrow` channels, the last one of `filters`; the last kernel may halve the map."""
    steps = [(size, (1, 1)) for kernel in kernels[:-1] for size, _ in kernel]
    steps += [(size, halving if halve else (1, 1)) for size, halving in kernels[-1]]
    for index, (size, strides) in enumerate(steps):
        width = filters if index == len(steps) - 1 else narrow
        x = _convolution(x, width, size, strides=strides, name=f"{name}{index}")
    return x


def _convolution(x: Any, filters: int, size: tuple[int, int], *, strides: tuple[int, int] = (1, 1), name: str) -> Any:
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


ARCHITECTURE = Architecture(
    title="light Inception V3 (Jin, Yang, Wei)",
    builder=build_inception_light,
    input_shape_hwc=(48, 48, 1),
    min_side_px=16,
)
