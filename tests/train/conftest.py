"""Fixtures of the training tests."""

from __future__ import annotations

import gzip
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from train.support import HEADER, write_learnable_csv


@pytest.fixture(scope="session")
def keras():
    """Keras on the one backend of this process."""
    return pytest.importorskip("keras", reason="needs keras: pip install 'fer-edge[train]' tensorflow")


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Write lines, the header first, to a csv or csv.gz in tmp_path."""

    def write(lines: Sequence[str], name: str = "fer2013.csv", header: str = HEADER) -> Path:
        path = tmp_path / name
        data = "\n".join([header, *lines, ""]).encode()
        path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
        return path

    return write


@pytest.fixture
def tiny_csv(tmp_path: Path) -> Path:
    """70 training and 21 test faces, in FER-2013's csv."""
    return write_learnable_csv(tmp_path / "tiny.csv", 70, 21)


@pytest.fixture
def operation_by_operation(keras) -> Iterator[None]:
    """TensorFlow traces nothing, which takes longer than a few steps of a small network do."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def tiny_network(keras, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a network of 250 weights that compiles at once; it stands in the zoo for one test."""
    from fer_edge_train import zoo

    def build(input_shape_hwc, n_classes):
        pixels = keras.Input(input_shape_hwc, name="pixels")
        x = keras.layers.AveragePooling2D(8)(pixels)
        x = keras.layers.BatchNormalization()(x)
        return keras.Model(pixels, keras.layers.Dense(n_classes, name="logits")(keras.layers.Flatten()(x)))

    _put_into_zoo(monkeypatch, zoo.Architecture(title="tiny", builder=build, input_shape_hwc=(48, 48, 1)))
    return "tiny"


@pytest.fixture
def tiny_factored_networks(keras, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The names of a network with one convolution and of the same with that in rank 4, in the zoo for one test."""
    from fer_edge_train import zoo
    from fer_edge_train.zoo.residual import convolution

    def builder(rank):
        def build(input_shape_hwc, n_classes):
            pixels = keras.Input(input_shape_hwc, name="pixels")
            x = convolution(keras.layers.AveragePooling2D(8)(pixels), 8, name="only", rank=rank)
            return keras.Model(pixels, keras.layers.Dense(n_classes, name="logits")(keras.layers.Flatten()(x)))

        return build

    shape = (48, 48, 1)
    _put_into_zoo(monkeypatch, zoo.Architecture(title="whole", builder=builder(None), input_shape_hwc=shape))
    _put_into_zoo(
        monkeypatch,
        zoo.Architecture(title="factored", builder=builder(4), input_shape_hwc=shape, factored_from="whole"),
    )
    return "whole", "factored"


def _put_into_zoo(monkeypatch: pytest.MonkeyPatch, architecture) -> None:
    from fer_edge_train import zoo

    module = types.ModuleType(f"{architecture.title}_network_of_the_tests")
    module.ARCHITECTURE = architecture
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(zoo.ARCHITECTURES, architecture.title, f"{module.__name__}:ARCHITECTURE")
