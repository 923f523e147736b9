"""What the zoo knows about a network before it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Architecture", "Builder"]


class Builder(Protocol):
    """Signature that every network's builder has."""

    def __call__(self, input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
        """Return an uncompiled keras.Model from pixels in [-1, 1), channels last, to logits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One network of the zoo.

    Attributes:
        title: the network and the paper that describes it, in one line.
        builder: makes the network.
        input_shape_hwc: height, width and channels that the paper uses.
        min_side_px: smallest height and width that leave a map to classify.
        imagenet_body: the function of keras.applications whose layers, by name, are the network's body; None where no
            ImageNet weights exist.
        factored_from: the network of the zoo whose convolutions this one has in low rank, see
            `fer_edge_train.low_rank`; None for a network of its own.
    """

    title: str
    builder: Builder
    input_shape_hwc: tuple[int, int, int]
    min_side_px: int = 1
    imagenet_body: Callable[..., Any] | None = None
    factored_from: str | None = None

    def __post_init__(self) -> None:
        if min(self.input_shape_hwc[:2]) < self.min_side_px:
            raise ValueError(f"input_shape_hwc: expected sides of {self.min_side_px}, found {self.input_shape_hwc}")
