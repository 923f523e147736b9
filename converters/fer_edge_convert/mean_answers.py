"""What a layer answers on average over images and positions: exact from its mean input, as a convolution is linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Geometry", "mean_answer"]

Doubles = npt.NDArray[np.float64]
Padding = tuple[int, int, int, int] | Literal["same-upper", "same-lower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How a convolution's kernel moves.

    Attributes:
        strides, dilations: (y, x).
        padding: zeros (above, left, below, right); or as many as leave ceil(length / stride) positions, the odd one
            last ("same-upper") or first ("same-lower").
        groups: parts of the channels that do not mix.
    """

    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    groups: int = 1


def mean_answer(weights: Doubles, mean_input: Doubles, geometry: Geometry = Geometry()) -> Doubles:
    """Return the mean of a layer's output over images and positions, before its bias and its activation function.

    The mean over positions goes into the sum: each weight meets the mean of those inputs that it is multiplied with.

    Args:
        weights: (out, in / groups, height, width); (out, in) of a dense layer.
        mean_input: over images, (in, height, width); (in,) of a dense layer.
        geometry: of a convolution.

    Returns:
        float64 (out,).
    """
    if weights.ndim == 2:
        return np.asarray(weights @ mean_input, np.float64)
    met = _mean_met_inputs(mean_input, (weights.shape[2], weights.shape[3]), geometry)
    apart = met.reshape(geometry.groups, -1, *met.shape[1:])
    grouped = weights.reshape(geometry.groups, -1, *weights.shape[1:])
    answers: Doubles = np.einsum("goiyx,giyx->go", grouped, apart).reshape(-1)
    return answers


def _mean_met_inputs(mean_input: Doubles, kernel: tuple[int, int], geometry: Geometry) -> Doubles:
    """Return (in, kernel height, kernel width): of each channel, the mean of the inputs that each weight meets."""
    above, left, below, right = _padding(mean_input.shape[1:], kernel, geometry)
    padded = np.pad(mean_input, ((0, 0), (above, below), (left, right)))
    spans = [(size - 1) * step for size, step in zip(kernel, geometry.dilations, strict=True)]
    lengths = [length - span for length, span in zip(padded.shape[1:], spans, strict=True)]
    met = np.empty((len(mean_input), *kernel))
    for y, x in np.ndindex(*kernel):
        top, side = y * geometry.dilations[0], x * geometry.dilations[1]
        part = padded[:, top : top + lengths[0] : geometry.strides[0], side : side + lengths[1] : geometry.strides[1]]
        met[:, y, x] = part.mean(axis=(1, 2))
    return met


def _padding(lengths: tuple[int, ...], kernel: tuple[int, int], geometry: Geometry) -> tuple[int, int, int, int]:
    if not isinstance(geometry.padding, str):
        return geometry.padding
    before, after = [], []
    for length, size, stride, dilation in zip(lengths, kernel, geometry.strides, geometry.dilations, strict=True):
        covered = (-(-length // stride) - 1) * stride + (size - 1) * dilation + 1
        total = max(covered - length, 0)
        first = total // 2 if geometry.padding == "same-upper" else total - total // 2
        before.append(first)
        after.append(total - first)
    return before[0], before[1], after[0], after[1]
