"""A functional Keras network walked call by call: to find who reads what, and to build a changed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["copied", "readers", "rebuilt", "run_calls", "source_of"]

Call = Callable[..., Any]


def rebuilt(model: Any, call: Call) -> Any:
    """Return a functional keras.Model made by `call(layer, *arguments, **options)` in place of each call of a layer.

    Args:
        model: functional or sequential keras.Model of one input and one output; it stays as it is.
        call: returns the new tensor for a layer of `model` and the new tensors that go into it.
    """
    source = model.inputs[0]
    pixels = keras.Input(batch_shape=source.shape, dtype=source.dtype, name="pixels")
    return keras.Model(pixels, run_calls(model, pixels, call), name=model.name)


def run_calls(model: Any, source: Any, call: Call) -> Any:
    """Do what `rebuilt` does on a tensor that is there already, and return the last one."""
    # Taken apart and put together again, a sequential network is a functional one.
    functional = keras.Model(model.inputs[0], model.outputs[0])
    return functional._run_through_graph(source, operation_fn=lambda layer: layer, call_fn=call)


def readers(model: Any) -> dict[str, tuple[Any, ...]]:
    """Return for each layer, by its name, the layers that read what it gives; an empty tuple for the last.

    Args:
        model: functional keras.Model of one output.
    """
    found: dict[str, list[Any]] = {}
    waiting, seen = list(model.outputs), set()
    while waiting:
        history = waiting.pop()._keras_history
        if (history.operation.name, history.node_index) in seen:
            continue
        seen.add((history.operation.name, history.node_index))
        found.setdefault(history.operation.name, [])
        for tensor in history.operation._inbound_nodes[history.node_index].input_tensors:
            found.setdefault(tensor._keras_history.operation.name, []).append(history.operation)
            waiting.append(tensor)
    return {name: tuple(operations) for name, operations in found.items()}


def source_of(tensor: Any) -> Any:
    """Return the layer that gives a tensor."""
    return tensor._keras_history.operation


def copied(layer: Any, **changes: Any) -> Any:
    """Return a layer of the same configuration but `changes`, without its weights; an operation without any is itself.

    Args:
        layer: a keras.layers.Layer or a keras.Operation.
        changes: of the configuration.
    """
    return type(layer).from_config({**layer.get_config(), **changes}) if isinstance(layer, keras.Layer) else layer
