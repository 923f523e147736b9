"""FFA-Net, a network that removes haze: features weighted by channel and by pixel, and fused over groups of blocks.

Qin, Wang, Bai, Xie, Jia, "FFA-Net: Feature Fusion Attention Network for Single Image Dehazing" (AAAI 2020). The
paper's size is 3 groups of 19 blocks with 64 filters: 4,455,913 parameters for colour pictures.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from fer_edge.errors import UsageError

__all__ = ["build_ffa_net"]

# Inside an attention the channels are reduced by this factor; where groups are fused, by twice this factor.
_REDUCTION = 8


def build_ffa_net(
    *, groups: int = 3, blocks: int = 19, filters: int = 64, channels: int = 3, data_format: str = "channels_last"
) -> Any:
    """Return an uncompiled FFA-Net from hazy pixels in [-1, 1) to clear ones in the same coding, for any picture size.

    Its last convolution starts at zero, so that an untrained network returns its input.

    Args:
        groups: number of groups whose outputs are fused.
        blocks: basic blocks in each group.
        filters: of every convolution but the last; a multiple of 8.
        channels: of the pictures.
        data_format: Keras' "channels_last" or "channels_first" (then pictures are (channels, height, width)).

    Raises:
        UsageError: a size is out of range.
    """
    for name, value in (("groups", groups), ("blocks", blocks), ("channels", channels)):
        if value < 1:
            raise UsageError(f"{name}: expected at least 1, found {value}")
    if filters < _REDUCTION or filters % _REDUCTION:
        raise UsageError(f"filters: expected a positive multiple of {_REDUCTION}, found {filters}")
    net = _Parts(filters, data_format)
    shape = (None, None, channels) if data_format == "channels_last" else (channels, None, None)
    hazy = keras.Input(shape, name="hazy")

    x = net.conv(hazy, "stem")
    outputs = []
    for group in range(groups):
        x = net.group(x, blocks, prefix=f"group{group}")
        outputs.append(x)
    x = net.pixel_attention(net.fuse(outputs), prefix="fusion_pixel")
    x = net.conv(x, "tail")
    correction = layers.Conv2D(
        channels,
        3,
        padding="same",
        data_format=data_format,
        kernel_initializer="zeros",
        name="correction",
    )(x)
    return keras.Model(hazy, layers.Add(name="clear")([hazy, correction]), name="ffa_net")


class _Parts:
    """The network's parts for one number of filters and one data format."""

    def __init__(self, filters: int, data_format: str) -> None:
        self._filters = filters
        self._data_format = data_format

    def conv(self, x: Any, name: str, *, kernel_px: int = 3, filters: int | None = None, activation: Any = None) -> Any:
        return layers.Conv2D(
            filters or self._filters,
            kernel_px,
            padding="same",
            activation=activation,
            data_format=self._data_format,
            name=name,
        )(x)

    def channel_attention(self, x: Any, *, prefix: str) -> Any:
        """Weight each channel by what its mean over the picture says."""
        weights = layers.GlobalAveragePooling2D(keepdims=True, data_format=self._data_format, name=f"{prefix}_mean")(x)
        weights = self._squeeze(weights, f"{prefix}_squeeze", self._filters // _REDUCTION)
        weights = self.conv(weights, f"{prefix}_weights", kernel_px=1, activation="sigmoid")
        return layers.Multiply(name=prefix)([x, weights])

    def pixel_attention(self, x: Any, *, prefix: str) -> Any:
        """Weight each pixel by what its channels say."""
        weights = self._squeeze(x, f"{prefix}_squeeze", self._filters // _REDUCTION)
        weights = self.conv(weights, f"{prefix}_weights", kernel_px=1, filters=1, activation="sigmoid")
        return layers.Multiply(name=prefix)([x, weights])

    def block(self, x: Any, *, prefix: str) -> Any:
        """Two convolutions and feature attention; the input is added after the first and at the end."""
        y = self.conv(x, f"{prefix}_conv0", activation="relu")
        y = layers.Add(name=f"{prefix}_local")([y, x])
        y = self.conv(y, f"{prefix}_conv1")
        y = self.channel_attention(y, prefix=f"{prefix}_channel")
        y = self.pixel_attention(y, prefix=f"{prefix}_pixel")
        return layers.Add(name=f"{prefix}_add")([y, x])

    def group(self, x: Any, blocks: int, *, prefix: str) -> Any:
        """Blocks in a row and a convolution, beside the group's input."""
        y = x
        for block in range(blocks):
            y = self.block(y, prefix=f"{prefix}_block{block}")
        y = self.conv(y, f"{prefix}_conv")
        return layers.Add(name=f"{prefix}_add")([y, x])

    def fuse(self, outputs: list[Any]) -> Any:
        """Sum the groups' outputs, each channel of each weighted by channel attention over all of them."""
        axis = -1 if self._data_format == "channels_last" else 1
        joined = layers.Concatenate(axis=axis, name="fusion_join")(outputs) if len(outputs) > 1 else outputs[0]
        means = layers.GlobalAveragePooling2D(keepdims=True, data_format=self._data_format, name="fusion_mean")(joined)
        squeezed = self._squeeze(means, "fusion_squeeze", max(self._filters // (2 * _REDUCTION), 1))
        weighted = []
        for index, output in enumerate(outputs):
            weights = self.conv(squeezed, f"fusion_weights{index}", kernel_px=1, activation="sigmoid")
            weighted.append(layers.Multiply(name=f"fusion_weighted{index}")([output, weights]))
        return layers.Add(name="fusion")(weighted) if len(weighted) > 1 else weighted[0]

    def _squeeze(self, x: Any, name: str, filters: int) -> Any:
        return self.conv(x, name, kernel_px=1, filters=filters, activation="relu")
