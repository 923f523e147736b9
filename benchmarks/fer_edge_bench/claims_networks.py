"""What the zoo's networks are made of: the numbers that papers state of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge_bench.training import check_architectures

__all__ = ["NetworkFigures", "network_figures"]

_CLASSES = 7
_CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
_POOLINGS = ("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFigures:
    """A network of the zoo with its default input and seven classes.

    Attributes:
        architecture: its name.
        parameters, trainable_parameters: of all layers.
        convolutions, poolings: number of layers; a depthwise-separable convolution is one.
        fully_connected_parameters: of each such layer, in order.
    """

    architecture: str
    parameters: int
    trainable_parameters: int
    convolutions: int
    poolings: int
    fully_connected_parameters: tuple[int, ...]

    @property
    def body_parameters(self) -> int:
        """Return the parameters of all but the fully connected layers."""
        return self.parameters - sum(self.fully_connected_parameters)


def network_figures(architectures: Sequence[str]) -> tuple[NetworkFigures, ...]:
    """Build networks and count.

    Raises:
        MissingExtraError: Keras or its backend is not installed.
        UsageError: no network has one of the names.
    """
    check_architectures(architectures)
    from fer_edge_train import zoo

    return tuple(_count(name, zoo.build(name, zoo.default_input_shape(name), _CLASSES)) for name in architectures)


def _count(architecture: str, model: Any) -> NetworkFigures:
    kinds = [(type(layer).__name__, layer) for layer in model.layers]
    return NetworkFigures(
        architecture=architecture,
        parameters=int(model.count_params()),
        trainable_parameters=sum(_size(weight.shape) for weight in model.trainable_weights),
        convolutions=sum(kind in _CONVOLUTIONS for kind, _ in kinds),
        poolings=sum(kind in _POOLINGS for kind, _ in kinds),
        fully_connected_parameters=tuple(int(layer.count_params()) for kind, layer in kinds if kind == "Dense"),
    )


def _size(shape: Sequence[int]) -> int:
    product = 1
    for length in shape:
        product *= int(length)
    return product
