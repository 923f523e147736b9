"""Bias correction: what rounding weights adds to each channel's mean is taken out of the biases, layer after layer.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), in its form that measures
on images. The error of a mean goes on to all layers behind it; noise around it partly cancels out there.

What rounding and cutting of activations adds is left alone. What is cut is rare and large: a bias that makes up for it
in the mean moves all the answers that were not cut, and made a network worse on LiteRT (docs/corrections.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["MeanNetwork", "OfLayers", "correct_biases", "correct_model"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
OfLayers = Mapping[int, Doubles]  # by position among the layers with weights, in the order of computation


class MeanNetwork(Protocol):
    """A network's float32 file whose layers' mean answers can be told."""

    @property
    def biases(self) -> OfLayers:
        """Float64 (out,) of the layers that have one."""
        ...

    def with_biases(self, biases: OfLayers) -> bytes:
        """Return the file with other biases."""
        ...

    def round_weights(self, quantized: bytes) -> None:
        """Take over the weights of a quantized file of the same network, as the real values that they stand for."""
        ...

    def mean_answers(self, images: Floats, layers: Collection[int], biases: OfLayers) -> OfLayers:
        """Return the means of layers' answers over images and positions, their own biases left out.

        Args:
            images: float32 (n, h, w, c), coded as the network takes them.
            layers: keys of `biases`.
            biases: of the layers before.

        Returns:
            float64 (out,) of each, before its activation function.
        """
        ...


def correct_biases(
    biases: OfLayers, wanted: OfLayers, measure: Callable[[OfLayers, int], Doubles]
) -> dict[int, Doubles]:
    """Return biases with which each layer's mean answer is the float network's.

    Args:
        biases: of the float network.
        wanted: mean answers of its layers, biases left out.
        measure: gives a layer's mean answer, its bias left out, in the rounded network with the biases given: those of
            the layers before are corrected already.
    """
    corrected = dict(biases)
    for layer, bias in biases.items():
        corrected[layer] = bias + wanted[layer] - measure(corrected, layer)
    return corrected


def correct_model(read: Callable[[bytes], MeanNetwork], model: bytes, quantized: bytes, images: Floats) -> bytes:
    """Return a float file with the biases that fit the weights of a quantized one.

    Args:
        read: makes a MeanNetwork of a float file.
        model: in float32.
        quantized: made of it; its weights count, which depend on no bias.
        images: float32 (n, h, w, c), coded as the network takes them.
    """
    network, rounded = read(model), read(model)
    if not network.biases:
        return model
    rounded.round_weights(quantized)
    wanted = network.mean_answers(images, tuple(network.biases), network.biases)

    def measure(biases: OfLayers, layer: int) -> Doubles:
        return rounded.mean_answers(images, (layer,), biases)[layer]

    return network.with_biases(correct_biases(network.biases, wanted, measure))
