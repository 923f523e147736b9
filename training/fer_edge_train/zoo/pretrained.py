"""ImageNet weights for a network's body, from Keras' server or from a file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, UsageError

__all__ = ["IMAGENET", "load_body"]

IMAGENET = "imagenet"
_BODY_SHAPE_HWC = (224, 224, 3)  # the weights are the same for every size


def load_body(name: str, make_body: Callable[..., Any], model: Any, source: str | Path) -> None:
    """Overwrite the weights of the body of `model`, layer by layer, with those of `source`; the head keeps its own.

    The network is left as it was where anything fails. Its first convolution gets its channels in the order B, G, R.

    Args:
        name: of the network, for messages.
        make_body: the function of keras.applications that builds the body.
        model: made by the zoo under that name.
        source: "imagenet" (Keras fetches the file once and keeps it in ~/.keras) or a path of the same file.

    Raises:
        InputError: the file is missing, cannot be fetched, or is not of this body.
        UsageError: the model is of another network.
    """
    body = _fetch(name, make_body) if str(source) == IMAGENET else _read(name, make_body, Path(source))
    pairs = []
    own = {layer.name: layer for layer in model.layers}
    for layer in body.layers:
        # EfficientNet's Normalization is left out: the network does that step in front of the body, from constants.
        if not layer.weights or type(layer).__name__ == "Normalization":
            continue
        if layer.name not in own or [w.shape for w in layer.weights] != [w.shape for w in own[layer.name].weights]:
            raise UsageError(f"expected a model that the zoo built as {name}, found {model.name} without {layer.name}")
        pairs.append((own[layer.name], layer))
    first = next(target for target, _ in pairs if hasattr(target, "kernel_size"))
    for target, layer in pairs:
        weights = layer.get_weights()
        if target is first:
            # Keras' weights were trained on R, G, B; pixels come as B, G, R here.
            weights[0] = weights[0][:, :, ::-1]
        target.set_weights(weights)


def _fetch(name: str, make_body: Callable[..., Any]) -> Any:
    try:
        # Keras reports the download on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            return make_body(include_top=False, weights=IMAGENET, input_shape=_BODY_SHAPE_HWC)
    except Exception as error:  # Keras wraps what went wrong in a bare Exception
        raise InputError(
            f"the ImageNet weights of {name} cannot be fetched ({_first_line(error)}); "
            "give the path of Keras' no-top .h5 file instead"
        ) from error


def _read(name: str, make_body: Callable[..., Any], path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {IMAGENET!r} or the path of Keras' no-top .h5 file")
    body = make_body(include_top=False, weights=None, input_shape=_BODY_SHAPE_HWC)
    try:
        if path.name.endswith(".weights.h5"):
            # Keras only warns where such a file holds other layers, and leaves the rest of the network random.
            raise ValueError("a .weights.h5 file is a checkpoint")
        body.load_weights(str(path))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: not the weights of {name} without its top ({_first_line(error)}); "
            "expected the no-top .h5 file that keras.applications publishes"
        ) from error
    return body


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
