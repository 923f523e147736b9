"""Gray pictures for networks whose first convolution was made for three colours."""

from __future__ import annotations

from typing import Any

from keras import layers

__all__ = ["three_channels"]


def three_channels(pixels: Any) -> Any:
    """Return the tensor itself where it has three channels (B, G, R), else its one channel three times.

    The copy is a layer of the network, so weights made for colour apply to a gray input as they are.
    """
    return layers.Concatenate(name="gray_as_bgr")([pixels] * 3) if pixels.shape[-1] == 1 else pixels
