"""Keras layers as torch modules: same weights, same answers, channels-last memory.

Tensors have torch's logical order (n, c, h, w) in channels-last memory, which is Keras' order of bytes; so flattening
and kernels need care, and nothing is copied in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_edge.errors import FerEdgeError

__all__ = ["TRANSLATED", "TorchLayer", "UntranslatableError"]

Weights = list[np.ndarray[Any, Any]]


class UntranslatableError(FerEdgeError, TypeError):
    """A Keras layer has no equivalent here."""


class TorchLayer(nn.Module):
    """A layer that takes its weights from Keras' `get_weights()` and gives them back for `set_weights()`."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.trainable = bool(layer.trainable)

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        return []

    def _own(self, values: np.ndarray[Any, Any]) -> nn.Parameter:
        tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return nn.Parameter(tensor, requires_grad=self.trainable)


def _numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = tensor.detach().float().cpu().numpy()
    return values


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _need(layer: Any, **expected: Any) -> None:
    """Refuse a layer whose options are not those translated here."""
    for name, value in expected.items():
        found = getattr(layer, name)
        if (_pair(found) if isinstance(value, tuple) else found) != value:
            raise UntranslatableError(f"layer {layer.name}: expected {name} {value!r}, found {found!r}")


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}


def _activation(layer: Any) -> Callable[[Tensor], Tensor]:
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if name not in _ACTIVATIONS:
        raise UntranslatableError(f"layer {layer.name}: the activation {name} has no equivalent on torch here")
    return _ACTIVATIONS[name]


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many positions Keras' "same" adds before and after an axis of `length`."""
    total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


class _Windows(TorchLayer):
    """What convolutions and poolings share: a window's size, steps and border."""

    def __init__(self, layer: Any, kernel: Any) -> None:
        super().__init__(layer)
        _need(layer, data_format="channels_last")
        self.kernel, self.stride = _pair(kernel), _pair(layer.strides)
        self.same = layer.padding == "same"

    def pads(self, x: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return what is added before and after the height, and before and after the width."""
        if not self.same:
            return (0, 0), (0, 0)
        height, width = x.shape[2:]
        return (
            same_padding(height, self.kernel[0], self.stride[0]),
            same_padding(width, self.kernel[1], self.stride[1]),
        )


class _Convolution(_Windows):
    def __init__(self, layer: Any) -> None:
        super().__init__(layer, layer.kernel_size)
        _need(layer, dilation_rate=(1, 1))
        self.activation = _activation(layer)

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        """Convolve with the layer's steps and border."""
        vertical, horizontal = self.pads(x)
        if vertical[0] == vertical[1] and horizontal[0] == horizontal[1]:
            padding = (vertical[0], horizontal[0])
        else:
            x, padding = functional.pad(x, (*horizontal, *vertical)), (0, 0)
        return functional.conv2d(x, kernel, bias, self.stride, padding, groups=groups)


class Conv2D(_Convolution):
    """A convolution, in groups or not."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        kernel, *bias = layer.get_weights()
        self.groups = int(layer.groups)
        self.kernel_oihw = self._own(kernel.transpose(3, 2, 0, 1))
        self.bias = self._own(bias[0]) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return self.activation(self.convolve(x, self.kernel_oihw, self.bias, self.groups))

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        kernel = _numpy(self.kernel_oihw).transpose(2, 3, 1, 0)
        return [kernel] if self.bias is None else [kernel, _numpy(self.bias)]


def _depthwise_to_torch(kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(h, w, channels, multiplier) to (channels x multiplier, 1, h, w)."""
    height, width, channels, multiplier = kernel.shape
    return kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


def _depthwise_to_keras(kernel: np.ndarray[Any, Any], multiplier: int) -> np.ndarray[Any, Any]:
    outputs, _, height, width = kernel.shape
    return kernel.reshape(outputs // multiplier, multiplier, height, width).transpose(2, 3, 0, 1)


class DepthwiseConv2D(_Convolution):
    """A convolution of each channel alone."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        kernel, *bias = layer.get_weights()
        self.channels, self.multiplier = kernel.shape[2:]
        self.kernel_o1hw = self._own(_depthwise_to_torch(kernel))
        self.bias = self._own(bias[0]) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return self.activation(self.convolve(x, self.kernel_o1hw, self.bias, self.channels))

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        kernel = _depthwise_to_keras(_numpy(self.kernel_o1hw), self.multiplier)
        return [kernel] if self.bias is None else [kernel, _numpy(self.bias)]


class SeparableConv2D(_Convolution):
    """A depthwise convolution, then one of 1 x 1."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        depthwise, pointwise, *bias = layer.get_weights()
        self.channels, self.multiplier = depthwise.shape[2:]
        self.depthwise_o1hw = self._own(_depthwise_to_torch(depthwise))
        self.pointwise_oihw = self._own(pointwise.transpose(3, 2, 0, 1))
        self.bias = self._own(bias[0]) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        x = self.convolve(x, self.depthwise_o1hw, None, self.channels)
        return self.activation(functional.conv2d(x, self.pointwise_oihw, self.bias))

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        depthwise = _depthwise_to_keras(_numpy(self.depthwise_o1hw), self.multiplier)
        pointwise = _numpy(self.pointwise_oihw).transpose(2, 3, 1, 0)
        return [depthwise, pointwise] if self.bias is None else [depthwise, pointwise, _numpy(self.bias)]


class Dense(TorchLayer):
    """A fully connected layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        kernel, *bias = layer.get_weights()
        self.kernel_oi = self._own(kernel.T)
        self.bias = self._own(bias[0]) if bias else None
        self.activation = _activation(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return self.activation(functional.linear(x, self.kernel_oi, self.bias))

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        kernel = _numpy(self.kernel_oi).T
        return [kernel] if self.bias is None else [kernel, _numpy(self.bias)]


class BatchNormalization(TorchLayer):
    """Keras' layer with torch's kernel; a frozen one keeps its moments, as in Keras."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
        if axis not in (-1, 3):
            raise UntranslatableError(f"layer {layer.name}: expected axis -1, found {axis}")
        _need(layer, scale=True, center=True)
        gamma, beta, mean, variance = layer.get_weights()
        self.gamma, self.beta = self._own(gamma), self._own(beta)
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("variance", torch.from_numpy(variance.astype(np.float32)))
        self.rate, self.epsilon = 1.0 - float(layer.momentum), float(layer.epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        if not (self.training and self.trainable):
            return functional.batch_norm(x, self.mean, self.variance, self.gamma, self.beta, eps=self.epsilon)
        mean, variance = torch.zeros_like(self.mean), torch.zeros_like(self.variance)
        normalized = functional.batch_norm(
            x, mean, variance, self.gamma, self.beta, training=True, momentum=1.0, eps=self.epsilon
        )
        # torch reports the unbiased variance; Keras keeps the biased one.
        biased = 1.0 - x.shape[1] / x.numel()
        with torch.no_grad():
            self.mean.lerp_(mean, self.rate)
            self.variance.lerp_(variance * biased, self.rate)
        return normalized

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        return [_numpy(tensor) for tensor in (self.gamma, self.beta, self.mean, self.variance)]


class MaxPooling2D(_Windows):
    """The largest value of each window."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer, layer.pool_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        pads = self.pads(x)
        before, after = ({axis[side] for axis in pads} for side in (0, 1))
        if before == after:
            return functional.max_pool2d(x, self.kernel, self.stride, (pads[0][0], pads[1][0]))
        if before == {0} and after <= {0, 1}:
            # A border on the far side alone: windows that overhang see what is there.
            return functional.max_pool2d(x, self.kernel, self.stride, ceil_mode=True)
        x = functional.pad(x, (*pads[1], *pads[0]), value=-math.inf)
        return functional.max_pool2d(x, self.kernel, self.stride)


class AveragePooling2D(_Windows):
    """The mean of what lies in each window; a border does not count."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer, layer.pool_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        (top, bottom), (left, right) = self.pads(x)
        if top == bottom and left == right:
            return functional.avg_pool2d(x, self.kernel, self.stride, (top, left), count_include_pad=False)
        padded = functional.pad(x, (left, right, top, bottom))
        ones = functional.pad(torch.ones_like(x[:1, :1]), (left, right, top, bottom))
        share = functional.avg_pool2d(ones, self.kernel, self.stride)
        return functional.avg_pool2d(padded, self.kernel, self.stride) / share


class GlobalAveragePooling2D(TorchLayer):
    """The mean of each channel."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        _need(layer, data_format="channels_last")
        self.keepdims = bool(layer.keepdims)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return x.mean((2, 3), keepdim=self.keepdims)


class ReLU(TorchLayer):
    """Values below zero, and above a limit where there is one, are cut."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        _need(layer, negative_slope=0, threshold=0)
        self.limit = None if layer.max_value is None else float(layer.max_value)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return torch.relu(x) if self.limit is None else x.clamp(0.0, self.limit)


class Activation(TorchLayer):
    """A function of each value."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.activation = _activation(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return self.activation(x)


class Dropout(TorchLayer):
    """Random zeros while training."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.rate = float(layer.rate)
        # Keras' noise_shape (n, 1, 1, 1), "drop whole images", is how residual branches are dropped.
        shape = layer.noise_shape
        if shape is not None and any(length != 1 for length in tuple(shape)[1:]):
            raise UntranslatableError(f"layer {layer.name}: the noise_shape {shape} has no equivalent on torch here")
        self.whole_images = shape is not None

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        if not self.whole_images or not self.training:
            return functional.dropout(x, self.rate, self.training)
        kept = torch.rand((len(x), *[1] * (x.ndim - 1)), device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1.0 - self.rate)


class Flatten(TorchLayer):
    """All values of an image in Keras' order: row by row, channels together."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)


class Reshape(TorchLayer):
    """From one value a channel to a map of one position, or back: what squeeze-and-excitation needs."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        shape = tuple(layer.target_shape)
        if not (len(shape) == 1 or (len(shape) == 3 and shape[:2] == (1, 1))):
            raise UntranslatableError(f"layer {layer.name}: the target shape {shape} has no equivalent on torch here")
        self.to_map = len(shape) == 3

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        if self.to_map:
            return x.reshape(len(x), -1, 1, 1)
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


class ZeroPadding2D(TorchLayer):
    """A border of zeros."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        _need(layer, data_format="channels_last")
        (self.top, self.bottom), (self.left, self.right) = layer.padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return functional.pad(x, (self.left, self.right, self.top, self.bottom))


class Rescaling(TorchLayer):
    """A factor and an offset."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        scale, offset = (np.asarray(value, dtype=np.float32) for value in (layer.scale, layer.offset))
        self.register_buffer("scale", torch.from_numpy(scale.reshape(1, -1, 1, 1)))
        self.register_buffer("offset", torch.from_numpy(offset.reshape(1, -1, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return x * self.scale + self.offset


class Normalization(TorchLayer):
    """Given moments taken out."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        _need(layer, invert=False)
        self._kept = [np.asarray(weight) for weight in layer.get_weights()]
        mean, variance = (
            np.asarray(value, dtype=np.float32).reshape(1, -1, 1, 1)
            for value in (self._kept[:2] or (layer.input_mean, layer.input_variance))
        )
        # Keras divides by the larger of the deviation and its epsilon.
        deviation = np.maximum(np.sqrt(variance), 1e-7).astype(np.float32)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's answer."""
        return (x - self.mean) / self.deviation

    def weights(self) -> Weights:
        """Return the weights in Keras' shapes and order."""
        return self._kept


class Add(TorchLayer):
    """A sum."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Return the layer's answer."""
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


class Multiply(TorchLayer):
    """A product."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Return the layer's answer."""
        product = parts[0]
        for part in parts[1:]:
            product = product * part
        return product


class Concatenate(TorchLayer):
    """Channels side by side."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        _need(layer, axis=-1)

    def forward(self, *parts: Tensor) -> Tensor:
        """Return the layer's answer."""
        return torch.cat(parts, dim=1)


TRANSLATED: dict[str, type[TorchLayer]] = {
    kind.__name__: kind
    for kind in (
        Activation,
        Add,
        AveragePooling2D,
        BatchNormalization,
        Concatenate,
        Conv2D,
        Dense,
        DepthwiseConv2D,
        Dropout,
        Flatten,
        GlobalAveragePooling2D,
        MaxPooling2D,
        Multiply,
        Normalization,
        ReLU,
        Rescaling,
        Reshape,
        SeparableConv2D,
        ZeroPadding2D,
    )
}
