"""The networks: one file each, one line each in the table below.

A builder takes the input shape (height, width, channels) and the number of classes, and returns an uncompiled
`keras.Model`, channels last, that maps float32 pixels in [-1, 1) to logits (no softmax: the loss, the quantizer and the
runtime each want the logits). Weight decay (the L2 of some papers) belongs to the recipe, not to the network.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any

from fer_edge.errors import UsageError
from fer_edge_train.backend import import_keras
from fer_edge_train.zoo.architecture import Architecture, Builder
from fer_edge_train.zoo.pretrained import load_body

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Builder",
    "build",
    "check_name",
    "default_input_shape",
    "factored_from",
    "load_pretrained",
]

# name -> "module:ATTRIBUTE", imported on use: keras takes seconds to import.
ARCHITECTURES: dict[str, str] = {
    "densenet_small": "fer_edge_train.zoo.densenet_small:ARCHITECTURE",
    "efficientnet_b0": "fer_edge_train.zoo.efficientnet_b0:ARCHITECTURE",
    "inception_light": "fer_edge_train.zoo.inception_light:ARCHITECTURE",
    "mini_xception": "fer_edge_train.zoo.mini_xception:ARCHITECTURE",
    "mobilenet_v2": "fer_edge_train.zoo.mobilenet_v2:ARCHITECTURE",
    "plain_cnn": "fer_edge_train.zoo.plain_cnn:ARCHITECTURE",
    "resnet50": "fer_edge_train.zoo.resnet50:ARCHITECTURE",
    "resnet_factored": "fer_edge_train.zoo.resnet_factored:ARCHITECTURE",
    "resnet_large": "fer_edge_train.zoo.resnet_large:ARCHITECTURE",
    "resnet_medium": "fer_edge_train.zoo.resnet_medium:ARCHITECTURE",
    "resnet_small": "fer_edge_train.zoo.resnet_small:ARCHITECTURE",
    "resnet_tiny": "fer_edge_train.zoo.resnet_tiny:ARCHITECTURE",
    "sepnet_tiny": "fer_edge_train.zoo.sepnet_tiny:ARCHITECTURE",
    "vgg": "fer_edge_train.zoo.vgg:ARCHITECTURE",
}


def check_name(architecture: str) -> None:
    """Check that a network has the name, without importing it.

    Raises:
        UsageError: no network has that name.
    """
    if architecture not in ARCHITECTURES:
        near = difflib.get_close_matches(architecture, ARCHITECTURES, n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(ARCHITECTURES))
        raise UsageError(f"no network is named {architecture!r}; {hint}")


def build(architecture: str, input_shape_hwc: tuple[int, int, int], n_classes: int) -> Any:
    """Build the network named `architecture`, with weights drawn from Keras' current random state.

    Raises:
        UsageError: no network has that name, or it cannot take such pictures.
    """
    network = _load(architecture)
    height, width, channels = input_shape_hwc
    if channels not in (1, 3):
        raise UsageError(f"{architecture}: expected pictures of 1 or 3 channels, found {channels}")
    if min(height, width) < network.min_side_px:
        raise UsageError(
            f"{architecture}: expected pictures of at least {network.min_side_px} x {network.min_side_px} pixels, "
            f"found {height} x {width}"
        )
    return network.builder(input_shape_hwc, n_classes)


def default_input_shape(architecture: str) -> tuple[int, int, int]:
    """Return height, width and channels that the network's paper uses.

    Raises:
        UsageError: no network has that name.
    """
    return _load(architecture).input_shape_hwc


def factored_from(architecture: str) -> str | None:
    """Return the name of the network that this one has in low rank, None where it is one of its own.

    Raises:
        UsageError: no network has that name.
    """
    return _load(architecture).factored_from


def load_pretrained(architecture: str, model: Any, source: str | Path) -> None:
    """Give the body of a model that `build` made its ImageNet weights; a gray model gets those of the colour one.

    Args:
        architecture: the name it was built with.
        model: changed in place; its head keeps its weights.
        source: "imagenet" (Keras fetches them, the only call here that needs a network) or a path of the .h5 file,
            without top, that keras.applications publishes.

    Raises:
        UsageError: no network has that name, it has no ImageNet weights, or the model is of another one.
        InputError: the file is missing, cannot be fetched, or is not of this network.
    """
    make_body = _load(architecture).imagenet_body
    if make_body is None:
        raise UsageError(f"{architecture} has no ImageNet weights; it is trained from random ones")
    load_body(architecture, make_body, model, source)


def _load(architecture: str) -> Architecture:
    check_name(architecture)
    import_keras()  # before a network's module imports it, so that the backend is the project's choice
    module_name, _, attribute = ARCHITECTURES[architecture].partition(":")
    found: Architecture = getattr(importlib.import_module(module_name), attribute)
    return found
