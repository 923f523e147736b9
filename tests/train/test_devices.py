from __future__ import annotations

import json

import pytest
from train.support import need_backend, run_python

from fer_edge.errors import UsageError

pytestmark = pytest.mark.host


@pytest.fixture
def devices(keras, monkeypatch):
    """The module on a machine of three GPUs, as JAX would see it; what is set is kept, not used."""
    from fer_edge_train import devices

    set_to = []
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1", "gpu:2"])
    monkeypatch.setattr(keras.distribution, "set_distribution", set_to.append)
    monkeypatch.setattr(devices, "_EvenParts", lambda devices: devices)
    devices.set_to = set_to
    yield devices
    del devices.set_to


@pytest.mark.parametrize(
    ("asked", "batch_size", "used"),
    [
        pytest.param(1, 7, [], id="one needs nothing"),
        pytest.param(2, 16, [["gpu:0", "gpu:1"]], id="the first two"),
        pytest.param(None, 48, [["gpu:0", "gpu:1", "gpu:2"]], id="all"),
    ],
)
def test_as_many_devices_are_used_as_are_asked_for(devices, asked, batch_size, used):
    devices.use_devices(asked, batch_size)
    assert devices.set_to == used


def test_all_of_one_device_needs_nothing(devices, keras, monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    devices.use_devices(None, 7)
    assert devices.set_to == []


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_one_device_is_enough_for_every_backend(devices, keras, monkeypatch, backend):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    devices.use_devices(1, 128)
    assert devices.set_to == []


@pytest.mark.parametrize(
    ("backend", "asked", "batch_size", "message"),
    [
        (
            "torch",
            2,
            128,
            "--devices 2: expected 1 on torch, which trains on one device here; set KERAS_BACKEND=jax (pip install "
            "jax, for GPUs with its CUDA extra), or leave --devices away",
        ),
        (
            "tensorflow",
            None,
            128,
            "--devices all: expected 1 on tensorflow, which trains on one device here; set KERAS_BACKEND=jax (pip "
            "install jax, for GPUs with its CUDA extra), or leave --devices away",
        ),
        ("jax", 4, 128, "--devices 4: expected at most 3 on this machine (gpu:0, gpu:1, gpu:2)"),
        ("jax", 3, 128, "--batch-size 128 on 3 devices: expected a multiple of 3, e.g. 129"),
        ("jax", None, 64, "--batch-size 64 on 3 devices: expected a multiple of 3, e.g. 66"),
    ],
    ids=["torch", "tensorflow", "too many", "uneven", "all uneven"],
)
def test_what_cannot_be_shared_is_refused(devices, keras, monkeypatch, backend, asked, batch_size, message):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    with pytest.raises(UsageError) as caught:
        devices.use_devices(asked, batch_size)
    assert str(caught.value) == message
    assert devices.set_to == []


# 45 images in batches of 16: the last one of an epoch has 13, and the 21 held-out images are answered at once; neither
# is a multiple of 2. Weights of float32 are compared after 9 steps, so sums in another order show in the sixth digit.
RUNS = """
import json, sys
from pathlib import Path
from fer_edge_train.backend import import_keras
keras = import_keras()
import numpy as np
from train.support import learnable_set
from fer_edge_train import devices, training, zoo
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.recipe import Recipe
from fer_edge_train.soft_targets import one_hot

def build(name, input_shape_hwc, n_classes):
    pixels = keras.Input(input_shape_hwc)
    x = keras.layers.Conv2D(4, 8, strides=8)(pixels)
    x = keras.layers.Dropout(0.25)(keras.layers.BatchNormalization()(x))
    return keras.Model(pixels, keras.layers.Dense(n_classes)(keras.layers.Flatten()(x)))

zoo.build = build
faces, held_out = learnable_set(45), learnable_set(21, seed=9)
recipe = Recipe(architecture="small", epochs=3, batch_size=16, average_decay=0.9)

class Stop(training.Progress):
    def epoch(self, epoch, figures):
        if epoch == 1:
            raise KeyboardInterrupt

def run(n, name, progress=training.Progress()):
    keras.distribution.set_distribution(None)
    devices.clear_models()
    devices.use_devices(n, recipe.batch_size)
    assert devices.n_devices() == n
    checkpoints = Checkpoints(Path(name))
    try:
        result = training.train(
            recipe, faces, one_hot(faces.label_indices, 7), "digest", held_out, checkpoints, progress
        )
    except KeyboardInterrupt:
        return None
    return {
        "on": len(result.model.trainable_variables[0].value.sharding.device_set),
        "losses": [row["train_loss"] for row in result.curve],
        "held_out": [row["val_loss"] for row in result.curve],
        "weights": np.concatenate([w.ravel() for w in result.model.get_weights()]).tolist(),
    }

found = {"one": run(1, "one"), "two": run(2, "two")}
for began, ended in ((1, 2), (2, 1)):
    run(began, f"{began}{ended}", Stop())
    found[f"{began} then {ended}"] = run(ended, f"{began}{ended}")

devices.use_devices(2, 16)
distribution = keras.distribution.distribution()
devices.clear_models()
assert keras.distribution.distribution() is distribution
found["layouts"] = [list(distribution.get_data_layout((n, 48, 48, 1)).axes) for n in (16, 13)]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does_and_go_on_with_its_runs(tmp_path, monkeypatch):
    need_backend("jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    found = json.loads(run_python(RUNS, backend="jax", cwd=tmp_path))
    assert found.pop("layouts") == [["batch", None, None, None], [None] * 4]
    assert {name: run["on"] for name, run in found.items()} == {"one": 1, "two": 2, "1 then 2": 2, "2 then 1": 1}
    one = found.pop("one")
    assert len(one["losses"]) == 3
    assert one["losses"][2] < one["losses"][0]
    for name, run in found.items():
        assert run["losses"] == pytest.approx(one["losses"], rel=1e-5), name
        assert run["held_out"] == pytest.approx(one["held_out"], rel=1e-5), name
        assert run["weights"] == pytest.approx(one["weights"], rel=1e-4, abs=1e-5), name
