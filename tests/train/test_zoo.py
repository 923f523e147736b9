from __future__ import annotations

import json

import pytest
from train.support import need_backend, run_python

from fer_edge.errors import UsageError
from fer_edge_train import zoo

pytestmark = pytest.mark.host


def test_mini_xception_has_the_papers_size(keras):
    model = zoo.build("mini_xception", (48, 48, 1), 7)
    assert model.count_params() == 58_423
    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == 56_951
    assert model.input_shape == (None, 48, 48, 1)
    assert model.output_shape == (None, 7)


@pytest.mark.parametrize(("shape", "n_classes"), [((64, 40, 3), 8), ((48, 48, 1), 2)])
def test_other_shapes_and_class_counts(keras, shape, n_classes):
    model = zoo.build("mini_xception", shape, n_classes)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, n_classes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mini_xeption", "no network is named 'mini_xeption'; did you mean mini_xception?"),
        ("MINI_XCEPTION", "no network is named 'MINI_XCEPTION'; known: mini_xception"),
        ("", "no network is named ''; known: mini_xception"),
    ],
)
def test_an_unknown_name_suggests_the_near_one(name, message):
    for call in (zoo.check_name, lambda name: zoo.build(name, (48, 48, 1), 7)):
        with pytest.raises(UsageError) as caught:
            call(name)
        assert str(caught.value) == message


DATA_FORMATS_AGREE = """
import json
from fer_edge_train.backend import import_keras
keras = import_keras()
import numpy as np
from fer_edge_train import training, zoo
from fer_edge_train.fused_batch_norm import FusedBatchNormalization
keras.utils.set_random_seed(1)
first = zoo.build("mini_xception", (48, 48, 1), 7, data_format="channels_first")
rng = np.random.default_rng(1)
first.set_weights([w + 0.1 * rng.random(w.shape).astype(np.float32) for w in first.get_weights()])
class recipe: architecture, input_shape_hwc = "mini_xception", (48, 48, 1)
last = training.export_model(first, recipe, 7)
images = rng.integers(0, 256, (300, 48, 48, 1), dtype=np.uint8)
a = training.predict_logits(first, images, "channels_first")
b = training.predict_logits(last, images)
print(json.dumps({
    "difference": float(abs(a - b).max()), "spread": float(np.ptp(a)), "shape": a.shape, "dtype": str(a.dtype),
    "fused": sum(isinstance(layer, FusedBatchNormalization) for layer in first.layers),
    "fused_exported": sum(isinstance(layer, FusedBatchNormalization) for layer in last.layers),
    "format": training.fastest_data_format(),
}))
"""


def test_both_data_formats_give_the_same_logits(tmp_path):
    need_backend("torch")
    found = json.loads(run_python(DATA_FORMATS_AGREE, backend="torch", cwd=tmp_path))
    assert found["format"] == "channels_first"
    assert found["shape"] == [300, 7]
    assert found["dtype"] == "float32"
    assert found["spread"] > 0.1
    assert found["difference"] < 1e-4 * found["spread"]
    assert found["fused"] == 14
    assert found["fused_exported"] == 0


TWO_STEPS = """
import json
from fer_edge_train.backend import import_keras
keras = import_keras()
import numpy as np
from fer_edge_train import training, zoo
keras.utils.set_random_seed(1)
data_format = training.fastest_data_format()
model = zoo.build("mini_xception", (48, 48, 1), 7, data_format=data_format)
model.compile(optimizer=keras.optimizers.SGD(0.002), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
rng = np.random.default_rng(1)
x = training.network_input(rng.integers(0, 256, (32, 48, 48, 1), dtype=np.uint8), data_format)
y = np.eye(7, dtype=np.float32)[np.arange(32) % 7]
before = [weight.copy() for weight in model.get_weights()]
losses = [float(model.train_on_batch(x, y)) for _ in range(2)]
changed = sum(bool((a != b).any()) for a, b in zip(before, model.get_weights()))
print(json.dumps({"backend": keras.backend.backend(), "losses": losses, "changed": changed, "weights": len(before)}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_trains_on(backend, tmp_path):
    need_backend(backend)
    found = json.loads(run_python(TWO_STEPS, backend=backend, cwd=tmp_path))
    assert found["backend"] == backend
    assert found["losses"][1] < found["losses"][0] < 3.0
    assert found["changed"] == found["weights"]
