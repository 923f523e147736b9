"""How many multiply-adds MTCNN does for a picture: its networks never change, its work does.

The networks are those of models/mtcnn: Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment using Multi-task
Cascaded Convolutional Networks", 2016, with one output for a face's log-odds where the paper has two probabilities.
Convolutions and dense layers count, as in fer_edge_train.multiply_adds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fer_edge_bench.samples import FrameWork

__all__ = ["mtcnn_multiply_adds"]

_IMAGE_CHANNELS = 3
# A face's log-odds and the offsets of four edges; O-Net has five points of two coordinates besides.
_OUTPUTS, _LANDMARKS = 1 + 4, 10
_POOLING_STRIDE = 2


@dataclass(frozen=True, slots=True)
class _Convolution:
    """Square, not padded, of stride 1."""

    kernel: int
    channels: int


@dataclass(frozen=True, slots=True)
class _Pooling:
    """Square, of stride 2; where padded, the output is half the input rounded up."""

    kernel: int
    padded: bool


_Layers = tuple[_Convolution | _Pooling, ...]

_PNET: _Layers = (
    _Convolution(3, 10),
    _Pooling(2, padded=True),
    _Convolution(3, 16),
    _Convolution(3, 32),
    _Convolution(1, _OUTPUTS),
)
_RNET: _Layers = (
    _Convolution(3, 28),
    _Pooling(3, padded=True),
    _Convolution(3, 48),
    _Pooling(3, padded=False),
    _Convolution(2, 64),
)
_ONET: _Layers = (
    _Convolution(3, 32),
    _Pooling(3, padded=True),
    _Convolution(3, 64),
    _Pooling(3, padded=False),
    _Convolution(3, 64),
    _Pooling(2, padded=True),
    _Convolution(2, 128),
)
_RNET_PX, _RNET_UNITS = 24, (128, _OUTPUTS)
_ONET_PX, _ONET_UNITS = 48, (256, _OUTPUTS + _LANDMARKS)


def mtcnn_multiply_adds(work: FrameWork) -> int:
    """Return the multiply-adds of P-Net on its parts of the pyramid and of R- and O-Net on their crops."""
    return (
        sum(_convolved(_PNET, size_wh)[0] for size_wh in work.pnet_sizes_wh)
        + work.rnet_crops * _of_crop(_RNET, _RNET_PX, _RNET_UNITS)
        + work.onet_crops * _of_crop(_ONET, _ONET_PX, _ONET_UNITS)
    )


def _of_crop(layers: _Layers, side_px: int, units: tuple[int, ...]) -> int:
    total, inputs = _convolved(layers, (side_px, side_px))
    for outputs in units:
        total += inputs * outputs
        inputs = outputs
    return total


def _convolved(layers: _Layers, size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return the multiply-adds of layers and the numbers in their output; a canvas smaller than the field gives 0."""
    total, channels, sides = 0, _IMAGE_CHANNELS, list(size_wh)
    for layer in layers:
        if isinstance(layer, _Pooling):
            margin = 0 if layer.padded else layer.kernel - _POOLING_STRIDE
            sides = [(math.ceil if layer.padded else math.floor)((side - margin) / _POOLING_STRIDE) for side in sides]
            continue
        sides = [max(side - layer.kernel + 1, 0) for side in sides]
        total += math.prod(sides) * layer.kernel**2 * channels * layer.channels
        channels = layer.channels
    return total, math.prod(sides) * channels
