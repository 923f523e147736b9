"""A Keras classifier rewritten so that each of its layers is one operation of the quantized file."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_convert.fine_tuning.keras_graph import copied, readers, rebuilt, run_calls

__all__ = ["fold_batch_normalizations"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# They change nothing but in training, where the network is to learn what its file will answer.
_OF_TRAINING = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)
# The names of Keras' layers that change pictures at random.
_AUGMENTATIONS = ("Random", "RandAugment", "AugMix", "CutMix", "MixUp", "AutoContrast", "Solarization")
_WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D, keras.layers.Dense)


def fold_batch_normalizations(model: Any) -> Any:
    """Return a network of the same answers whose weights are those that a converter rounds.

    Batch normalizations become part of the convolution or dense layer before them where nothing else reads that (Jacob
    et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018, 3.2):
    W' = W gamma / sqrt(variance + epsilon), b' = beta + (b - mean) gamma / sqrt(variance + epsilon). Others stay, their
    statistics frozen. A separable convolution becomes the two that it is, an activation inside a layer a layer of its
    own; networks inside the network are unpacked; dropout, noise and penalties are left out.

    Args:
        model: functional or sequential keras.Model of one input and one output; it stays as it is.

    Returns:
        A functional keras.Model of Keras' own layers, each called once.

    Raises:
        InputError: a layer has weights to train and is none that can be simulated, or is used more than once.
    """
    flat = _unpacked(model)
    read_by = readers(flat)
    layers = {layer.name: layer for layer in flat.layers}

    def normalization_of(layer: Any) -> Any:
        """Return the batch normalization that can become part of a layer, or None."""
        following = read_by.get(layer.name, ())
        if type(layer) not in _WEIGHTED or layer.activation is not keras.activations.linear or len(following) != 1:
            return None
        (reader,) = following
        is_last_axis = type(reader) is keras.layers.BatchNormalization and reader.axis in (
            -1,
            len(layer.output.shape) - 1,
        )
        return reader if is_last_axis else None

    folded = {id(found) for layer in layers.values() if (found := normalization_of(layer)) is not None}

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        if id(layer) in folded or isinstance(layer, _OF_TRAINING):
            return arguments[0]
        if type(layer) in _WEIGHTED:
            return _parts(layer, normalization_of(layer), arguments[0])
        return _called(layer, copied(layer), arguments, options)

    result = rebuilt(flat, call)
    for layer in result.layers:
        if type(layer) is keras.layers.BatchNormalization:
            layer.trainable = False  # Keras then takes the moving statistics, even in training
    return result


def _unpacked(model: Any) -> Any:
    """Return a copy, weights and all, in which no layer is a network."""
    names: set[str] = set()
    seen: set[int] = set()

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(layer, keras.Model) and len(getattr(layer, "inputs", None) or ()) == 1:
            return run_calls(layer, arguments[0], call)
        if not isinstance(layer, keras.Layer):
            return layer(*arguments, **options)
        if id(layer) in seen and layer.weights:
            raise InputError(f"layer {layer.name} is used more than once; fine-tuning cannot simulate that")
        seen.add(id(layer))
        if layer.trainable_weights and type(layer) not in (*_WEIGHTED, keras.layers.BatchNormalization):
            known = ", ".join(kind.__name__ for kind in _WEIGHTED)
            raise InputError(
                f"layer {layer.name} is a {type(layer).__name__}; fine-tuning simulates {known} and BatchNormalization"
            )
        if type(layer).__name__.startswith(_AUGMENTATIONS):
            raise InputError(
                f"layer {layer.name} is a {type(layer).__name__}, which changes pictures; fine-tuning needs "
                "the network without it"
            )
        numbered = (f"{layer.name}_{n}" for n in itertools.count(1))
        name = next(name for name in itertools.chain([layer.name], numbered) if name not in names)
        names.add(name)
        return _called(layer, copied(layer, name=name), arguments, options)

    return rebuilt(model, call)


def _called(layer: Any, copy: Any, arguments: Any, options: Any) -> Any:
    """Call a layer's copy, and give it the layer's weights."""
    result = copy(*arguments, **options)
    if copy is not layer:
        copy.set_weights(layer.get_weights())
    return result


def _parts(layer: Any, normalization: Any, x: Any) -> Any:
    """Call the operations that a layer is made of: a depthwise convolution, itself, its activation."""
    kernel, bias = _kernel_and_bias(layer)
    if type(layer) is keras.layers.SeparableConv2D:
        depthwise = keras.layers.DepthwiseConv2D(
            layer.kernel_size,
            strides=layer.strides,
            padding=layer.padding,
            depth_multiplier=layer.depth_multiplier,
            data_format=layer.data_format,
            dilation_rate=layer.dilation_rate,
            use_bias=False,
            name=f"{layer.name}_depthwise",
        )
        x = depthwise(x)
        depthwise.set_weights([layer.get_weights()[0]])
        main = keras.layers.Conv2D(
            layer.filters,
            1,
            data_format=layer.data_format,
            use_bias=layer.use_bias or normalization is not None,
            name=f"{layer.name}_pointwise",
        )
    else:
        penalties = {key: None for key in layer.get_config() if key.endswith(("_regularizer", "_constraint"))}
        main = copied(layer, activation="linear", use_bias=layer.use_bias or normalization is not None, **penalties)
    x = main(x)
    if normalization is not None:
        scale, shift = _scale_and_shift(normalization)
        kernel = kernel * scale.reshape(kernel.shape[2:] if type(layer) is keras.layers.DepthwiseConv2D else (-1,))
        bias = bias * scale + shift
    main.set_weights([kernel, bias] if main.use_bias else [kernel])
    if layer.activation is keras.activations.linear:
        return x
    if layer.activation is keras.activations.relu:
        return keras.layers.ReLU(name=f"{layer.name}_relu")(x)
    return keras.layers.Activation(layer.activation, name=f"{layer.name}_activation")(x)


def _kernel_and_bias(layer: Any) -> tuple[Doubles, Doubles]:
    """Return the weights of the last operation with any; the bias is zero where there is none."""
    weights = [np.asarray(values, np.float64) for values in layer.get_weights()]
    kernel = weights[1] if type(layer) is keras.layers.SeparableConv2D else weights[0]
    n_outputs = int(layer.output.shape[-1])
    return kernel, weights[-1] if layer.use_bias else np.zeros(n_outputs)


def _scale_and_shift(normalization: Any) -> tuple[Doubles, Doubles]:
    """Return what a batch normalization multiplies each channel by and what it then adds."""
    weights = {
        weight.name: np.asarray(keras.ops.convert_to_numpy(weight), np.float64) for weight in normalization.weights
    }
    scale = weights.get("gamma", 1.0) / np.sqrt(weights["moving_variance"] + normalization.epsilon)
    return scale, weights.get("beta", 0.0) - weights["moving_mean"] * scale
