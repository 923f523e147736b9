"""A Keras model's graph as one torch module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer_edge_train.torch_backend.layers import TRANSLATED, TorchLayer, UntranslatableError

__all__ = ["TorchNetwork"]


@dataclass(frozen=True, slots=True)
class _Step:
    """One layer's work: the values it reads and the one it makes, by number; values not read again are let go."""

    position: int
    inputs: tuple[int, ...]
    output: int
    done_with: tuple[int, ...]


class TorchNetwork(nn.Module):
    """The layers of a `keras.Model` from one image tensor to logits, with its present weights.

    `forward` takes float32 (n, c, h, w), best in channels-last memory, and returns logits (n, classes). `kernels()` are
    the weights that decay applies to; `copy_to` writes the weights back into the Keras model or one built alike.
    """

    def __init__(self, model: Any) -> None:
        """Translate a functional or sequential model of Keras' own layers; models inside it too.

        Raises:
            UntranslatableError: a layer, or the way it is used, has no equivalent.
        """
        super().__init__()
        graph = _Graph()
        output = graph.add_model(model, ["input"])
        self._names = [layer.name for layer in graph.layers]
        modules: list[TorchLayer] = []
        for layer in graph.layers:
            kind = TRANSLATED.get(type(layer).__name__)
            if kind is None:
                raise UntranslatableError(f"layer {layer.name}: {type(layer).__name__} has no equivalent on torch here")
            modules.append(kind(layer))
        self.steps = nn.ModuleList(modules)
        self._plan = graph.plan(output)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch."""
        values: dict[int, Tensor] = {0: x}
        for step in self._plan:
            result = self.steps[step.position](*[values[number] for number in step.inputs])
            for number in step.done_with:
                del values[number]
            values[step.output] = result
        return values[self._plan[-1].output]

    def kernels(self) -> Iterator[nn.Parameter]:
        """Yield the trainable weights of convolutions and dense layers, without biases and normalization."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad and parameter.ndim > 1)

    def vectors(self) -> Iterator[nn.Parameter]:
        """Yield the other trainable weights: biases, and scale and shift of normalizations."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad and parameter.ndim <= 1)

    def copy_to(self, model: Any) -> None:
        """Write the weights into a Keras model of the same layers."""
        graph = _Graph()
        graph.add_model(model, ["input"])
        for layer, step in zip(graph.layers, self.steps, strict=True):
            weights = step.weights()
            if weights:
                layer.set_weights(weights)

    @staticmethod
    def images(encoded: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        """Return float32 images (n, h, w, c) as the tensor (n, c, h, w) that `forward` takes, without a copy."""
        return torch.from_numpy(encoded).permute(0, 3, 1, 2)


class _Graph:
    """The layers of a model in the order they run, and which values they read and make; nested models are unfolded."""

    def __init__(self) -> None:
        self.layers: list[Any] = []
        self._calls: list[tuple[tuple[str, ...], str]] = []

    def add_model(self, model: Any, inputs: list[str], prefix: str = "") -> str:
        """Add a model's layers, fed by the named values; return the name of its output."""
        if type(model).__name__ == "Sequential":
            value = inputs[0]
            for layer in model.layers:
                value = self._add(layer, [value], prefix)
            return value
        config = model.get_config()
        if "layers" not in config:
            raise UntranslatableError(f"model {model.name}: expected a functional or sequential model")
        known = dict(zip(_ends(config["input_layers"]), inputs, strict=True))
        for entry in config["layers"]:
            if entry["class_name"] == "InputLayer":
                continue
            if len(entry["inbound_nodes"]) != 1:
                raise UntranslatableError(
                    f"layer {entry['name']}: expected one use, found {len(entry['inbound_nodes'])}"
                )
            node = entry["inbound_nodes"][0]
            sources = [known[name] for name in _tensor_names(node["args"])]
            known[entry["name"]] = self._add(model.get_layer(entry["name"]), sources, prefix)
        (output,) = _ends(config["output_layers"])
        return known[output]

    def _add(self, layer: Any, inputs: list[str], prefix: str) -> str:
        name = f"{prefix}{layer.name}"
        if hasattr(layer, "layers"):
            return self.add_model(layer, inputs, prefix=f"{name}/")
        self.layers.append(layer)
        self._calls.append((tuple(inputs), name))
        return name

    def plan(self, output: str) -> list[_Step]:
        """Number the values and find where each is read last."""
        numbers = {"input": 0} | {made: i + 1 for i, (_, made) in enumerate(self._calls)}
        if output != self._calls[-1][1]:
            raise UntranslatableError(f"expected the output to be made last, found {output}")
        last_read = {name: i for i, (read, _) in enumerate(self._calls) for name in read}
        return [
            _Step(
                position=i,
                inputs=tuple(numbers[name] for name in read),
                output=numbers[made],
                done_with=tuple({numbers[name] for name in read if last_read[name] == i}),
            )
            for i, (read, made) in enumerate(self._calls)
        ]


def _ends(entries: Any) -> list[str]:
    """Return the layers' names of Keras' `input_layers` or `output_layers`: one [name, node, tensor], or a list."""
    return [entries[0]] if isinstance(entries[0], str) else [entry[0] for entry in entries]


def _tensor_names(arguments: Any) -> list[str]:
    """Return the layers whose outputs are among a call's serialised arguments, in order."""
    if isinstance(arguments, dict):
        if arguments.get("class_name") == "__keras_tensor__":
            return [arguments["config"]["keras_history"][0]]
        return [name for value in arguments.values() for name in _tensor_names(value)]
    if isinstance(arguments, (list, tuple)):
        return [name for value in arguments for name in _tensor_names(value)]
    return []
