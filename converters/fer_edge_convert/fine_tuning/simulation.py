"""The network that fine-tuning trains: one of Keras' with int8's rounding inside and between its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from fer_edge_convert.fine_tuning.fake_quantization import Steps, fake_quantize, fake_quantize_weights
from fer_edge_convert.fine_tuning.keras_graph import copied, readers, rebuilt
from fer_edge_convert.ranges import Observer, Range

__all__ = ["copy_weights", "rounded_tensors", "set_ranges", "simulated_network", "tensor_observer"]

Floats = npt.NDArray[np.float32]

_ROUNDING = "_rounding"
# What they give is rounded already: they move values or choose among them.
_NOT_ROUNDED = (
    keras.layers.InputLayer, keras.layers.MaxPooling2D, keras.layers.ZeroPadding2D, keras.layers.Cropping2D,
    keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute,
)  # fmt: skip


def rounded_tensors(folded: Any) -> tuple[str, ...]:
    """Return the layers whose output a quantized file stores in eight bits, by name, in order.

    A rectifier is one operation with the layer before it where nothing else reads that layer. The input is left out:
    a pixel has 256 values, which its range meets exactly.

    Args:
        folded: of `fold_batch_normalizations`.
    """
    read_by = readers(folded)

    def is_rounded(layer: Any) -> bool:
        following = read_by[layer.name]
        return not isinstance(layer, _NOT_ROUNDED) and not (len(following) == 1 and _is_rectifier(following[0]))

    return tuple(layer.name for layer in folded.operations if is_rounded(layer))


def tensor_observer(folded: Any) -> Observer:
    """Return a function that runs a batch and gives the tensors of `rounded_tensors`, by their layers' names."""
    names = rounded_tensors(folded)
    tensors = {layer.name: layer.output for layer in folded.operations}
    shown = keras.Model(folded.inputs[0], [tensors[name] for name in names])

    def run(inputs: Floats) -> Mapping[str, Floats]:
        found = keras.tree.flatten(shown.predict_on_batch(inputs))
        return dict(zip(names, (np.asarray(values) for values in found), strict=True))

    return run


def simulated_network(folded: Any, ranges: Mapping[str, Range], n_weight_steps: int) -> Any:
    """Return a network with the weights of `folded` that rounds as its quantized file does.

    Biases are not rounded: a file has 32 bits for them.

    Args:
        folded: of `fold_batch_normalizations`; it stays as it is.
        ranges: of each tensor that `rounded_tensors` names; they stay until `set_ranges`.
        n_weight_steps: from zero to a channel's largest weight, see `fake_quantize_weights`.
    """
    steps = {name: Steps.of(ranges[name]) for name in rounded_tensors(folded)}

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        kind = _WITH_ROUNDED_KERNEL.get(type(layer))
        if kind is None:
            copy = copied(layer)
        else:
            copy = kind.from_config({**layer.get_config(), "n_weight_steps": n_weight_steps})
        x = copy(*arguments, **options)
        return _Rounding(steps[layer.name], name=f"{layer.name}{_ROUNDING}")(x) if layer.name in steps else x

    simulated = rebuilt(folded, call)
    copy_weights(folded, simulated)
    return simulated


def set_ranges(simulated: Any, ranges: Mapping[str, Range]) -> None:
    """Give the tensors of a network of `simulated_network` other ranges, by the names of `rounded_tensors`."""
    for layer in simulated.layers:
        if isinstance(layer, _Rounding):
            layer.set_steps(Steps.of(ranges[layer.name.removesuffix(_ROUNDING)]))


def copy_weights(source: Any, target: Any) -> None:
    """Give each layer of `target` the weights of the layer of `source` that has its name."""
    layers = {layer.name: layer for layer in target.layers}
    for layer in source.layers:
        if layer.weights and layer.name in layers:
            layers[layer.name].set_weights(layer.get_weights())


def _is_rectifier(layer: Any) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope and not layer.threshold
    return isinstance(layer, keras.layers.Activation) and layer.activation in (
        keras.activations.relu,
        keras.activations.relu6,
    )


class _Rounding(keras.layers.Layer):  # type: ignore[misc]
    """What is left of an activation in eight bits."""

    def __init__(self, steps: Steps, **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self._scale = self.add_weight(shape=(), initializer="zeros", trainable=False, name="scale")
        self._zero_point = self.add_weight(shape=(), initializer="zeros", trainable=False, name="zero_point")
        self.set_steps(steps)

    def set_steps(self, steps: Steps) -> None:
        self._scale.assign(steps.scale)
        self._zero_point.assign(steps.zero_point)

    def call(self, inputs: Any) -> Any:
        return fake_quantize(inputs, Steps(scale=self._scale, zero_point=self._zero_point))


class _Conv2D(keras.layers.Conv2D):  # type: ignore[misc]
    def __init__(self, *, n_weight_steps: int, **options: Any) -> None:
        super().__init__(**options)
        self._n_weight_steps = n_weight_steps

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, fake_quantize_weights(kernel, (0, 1, 2), self._n_weight_steps))


class _DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    def __init__(self, *, n_weight_steps: int, **options: Any) -> None:
        super().__init__(**options)
        self._n_weight_steps = n_weight_steps

    def call(self, inputs: Any) -> Any:
        outputs = ops.depthwise_conv(
            inputs,
            fake_quantize_weights(self.kernel, (0, 1), self._n_weight_steps),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return outputs if self.bias is None else outputs + self.bias


class _Dense(keras.layers.Dense):  # type: ignore[misc]
    def __init__(self, *, n_weight_steps: int, **options: Any) -> None:
        super().__init__(**options)
        self._n_weight_steps = n_weight_steps

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        del training
        outputs = ops.matmul(inputs, fake_quantize_weights(self.kernel, (0,), self._n_weight_steps))
        return outputs if self.bias is None else outputs + self.bias


_WITH_ROUNDED_KERNEL: dict[Any, Any] = {
    keras.layers.Conv2D: _Conv2D,
    keras.layers.DepthwiseConv2D: _DepthwiseConv2D,
    keras.layers.Dense: _Dense,
}
