"""The changes of training faces computed by torch, thousands of faces at once, where the network is trained.

The numbers are those that `fer_edge_train.augmentation` draws, with the same meaning. A warp weighs pixels exactly,
OpenCV in steps of 1/32, so that pixel values may differ by a few units; the noise comes from torch's generator.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fer_edge_train.augmentation import Changes

__all__ = ["changed"]


def changed(images: Tensor, changes: Changes, generator: torch.Generator) -> Tensor:
    """Return changed copies of faces.

    Args:
        images: uint8 (n, h, w, c), on any device.
        changes: of these n faces.
        generator: of the noise, on the same device.

    Returns:
        uint8 (n, h, w, c) on the same device.
    """
    device = images.device
    values = images.permute(0, 3, 1, 2).float()
    values = _warp(values, changes.matrices).round_()
    contrast, brightness, noise_std = (
        _per_face(each, device) for each in (changes.contrast, changes.brightness, changes.noise_std)
    )
    values = ((values - 128.0) * contrast + (128.0 + brightness)).round_().clamp_(0.0, 255.0)
    if changes.small_hw.any():
        values = _blur(values, changes.small_hw)
    if changes.noise_std.any():
        noise = torch.randn(values.shape, device=device, generator=generator)
        values = (values + noise * noise_std).round_().clamp_(0.0, 255.0)
    values = _erase(values, changes)
    return values.to(torch.uint8).permute(0, 2, 3, 1)


def _per_face(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device, torch.float32)[:, None, None, None]


def _warp(values: Tensor, matrices: npt.NDArray[np.float64]) -> Tensor:
    """Move float32 (n, c, h, w) by maps from old to new positions, as cv2.warpAffine does with a repeated border."""
    height, width = values.shape[2:]
    linear = np.linalg.inv(matrices[:, :, :2])
    offset = -np.einsum("nij,nj->ni", linear, matrices[:, :, 2])
    # From new to old positions, both running from -1 to 1 between the centres of the outer pixels.
    to_px = np.array([width - 1, height - 1]) / 2.0
    theta = np.empty_like(matrices)
    theta[:, :, :2] = linear * to_px / to_px[:, np.newaxis]
    theta[:, :, 2] = (np.einsum("nij,j->ni", linear, to_px) + offset - to_px) / to_px
    grid = functional.affine_grid(
        torch.from_numpy(theta).to(values.device, torch.float32), list(values.shape), align_corners=True
    )
    return functional.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _blur(values: Tensor, small_hw: npt.NDArray[np.int64]) -> Tensor:
    """Shrink by areas and enlarge linearly, each a product with one matrix from either side."""
    height, width = values.shape[2:]
    chosen = torch.from_numpy(np.flatnonzero(small_hw[:, 0])).to(values.device)
    sizes = small_hw[small_hw[:, 0] > 0]
    picked = values[chosen]
    for kind in (_area_matrices, _linear_matrices):
        rows, columns = (
            torch.from_numpy(kind(length)).to(values.device)[torch.from_numpy(sizes[:, axis]).to(values.device)]
            for axis, length in ((0, height), (1, width))
        )
        picked = (rows[:, None] @ picked @ columns[:, None].transpose(-1, -2)).round_()
    values[chosen] = picked
    return values


@functools.cache
def _area_matrices(length: int) -> npt.NDArray[np.float32]:
    """Return float32 (length + 1, length, length): matrix k takes the means of k equal parts, in its first k rows."""
    made = np.zeros((length + 1, length, length), np.float32)
    starts = np.arange(length)
    for k in range(1, length + 1):
        edges = np.arange(k + 1) * (length / k)
        upper = np.minimum(edges[1:, np.newaxis], starts + 1)
        made[k, :k] = np.clip(upper - np.maximum(edges[:-1, np.newaxis], starts), 0.0, None) * (k / length)
    return made


@functools.cache
def _linear_matrices(length: int) -> npt.NDArray[np.float32]:
    """Return float32 (length + 1, length, length): matrix k enlarges the first k values linearly."""
    made = np.zeros((length + 1, length, length), np.float32)
    for k in range(1, length + 1):
        position = np.clip((np.arange(length) + 0.5) * (k / length) - 0.5, 0.0, k - 1.0)
        low = np.floor(position).astype(int)
        share = position - low
        np.add.at(made[k], (np.arange(length), low), 1.0 - share)
        np.add.at(made[k], (np.arange(length), np.minimum(low + 1, k - 1)), share)
    return made


def _erase(values: Tensor, changes: Changes) -> Tensor:
    if not changes.erased_yxyx.any():
        return values
    height, width = values.shape[2:]
    top, bottom, left, right = torch.from_numpy(changes.erased_yxyx).to(values.device).unbind(1)
    y, x = (torch.arange(length, device=values.device) for length in (height, width))
    in_rows = (y >= top[:, None]) & (y < bottom[:, None])
    in_columns = (x >= left[:, None]) & (x < right[:, None])
    inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return torch.where(inside, _per_face(changes.grays, values.device), values)
