"""The layers of a float file that a quantization recipe can name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fer_edge.errors import InputError

__all__ = ["Layer", "pick_layers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer with weights.

    Attributes:
        index: among these layers, in the order of computation.
        kind: "conv", "depthwise" or "dense".
        weights_shape: as the file has it.
        name: of the layer in the file; differs from run to run, as Keras and the converters count.
        output: name of its output tensor.
    """

    index: int
    kind: str
    weights_shape: tuple[int, ...]
    name: str
    output: str

    @property
    def label(self) -> str:
        """What recipes and reports call it: the same in every run, e.g. "02 depthwise 1x3x3x8"."""
        return f"{self.index:02d} {self.kind} {'x'.join(map(str, self.weights_shape))}"


def pick_layers(layers: Sequence[Layer], labels: Iterable[str], where: str) -> tuple[Layer, ...]:
    """Return the layers of those labels, in their order.

    Raises:
        InputError: a label is none of theirs; the message begins with `where`.
    """
    wanted = set(labels)
    unknown = sorted(wanted - {layer.label for layer in layers})
    if unknown:
        raise InputError(
            f"{where}: expected layers of the network ({layers[0].label} to {layers[-1].label}), "
            f"found {unknown[0]!r}; the recipe is of another network"
            if layers
            else f"{where}: the network has no layers with weights, found {unknown[0]!r}"
        )
    return tuple(layer for layer in layers if layer.label in wanted)
