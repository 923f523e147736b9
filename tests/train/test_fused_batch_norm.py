from __future__ import annotations

import json

import pytest
from train.support import need_backend, run_python

pytestmark = pytest.mark.host

COMPARE = """
import json, sys
from fer_edge_train.backend import import_keras
keras = import_keras()
import numpy as np, torch
from fer_edge_train.fused_batch_norm import FusedBatchNormalization, batch_normalization

def gap(a, b):
    a, b = (np.asarray(x.detach() if hasattr(x, "detach") else x) for x in (a, b))
    return float(abs(a - b).max())

def relative_gap(a, b):
    return gap(a, b) / float(abs(np.asarray(b.detach() if hasattr(b, "detach") else b)).max())

found = {}
for name, shape in {"large": (16, 8, 23, 23), "small": (4, 8, 2, 1), "odd": (3, 8, 5, 2)}.items():
    rng = np.random.default_rng(1)
    fused, plain = FusedBatchNormalization(axis=1), keras.layers.BatchNormalization(axis=1)
    for layer in (fused, plain):
        layer.build(shape)
        layer.gamma.assign(np.linspace(0.5, 2.0, 8)); layer.beta.assign(np.linspace(-1.0, 1.0, 8))
    gaps = {}
    for call in range(3):
        values = (rng.normal(size=shape) * np.arange(1, 9)[:, None, None] + 3.0 * call).astype(np.float32)
        upstream = torch.tensor(rng.normal(size=shape).astype(np.float32))
        grads, outputs = [], []
        for layer in (fused, plain):
            x = torch.tensor(values, requires_grad=True)
            y = layer(x, training=True)
            wanted = (x, layer.gamma.value, layer.beta.value)
            grads.append(torch.autograd.grad((y * upstream).sum(), wanted)); outputs.append(y)
        gaps[f"outputs{call}"] = relative_gap(*outputs)
        for what, a, b in zip(("input", "gamma", "beta"), *grads):
            gaps[f"gradient of {what}{call}"] = relative_gap(a, b)
    gaps["moving mean"] = relative_gap(fused.moving_mean.value, plain.moving_mean.value)
    gaps["moving variance"] = relative_gap(fused.moving_variance.value, plain.moving_variance.value)
    gaps["inference"] = gap(fused(values, training=False), plain(values, training=False))
    fused.trainable = plain.trainable = False
    gaps["frozen"] = gap(fused(values, training=True), plain(values, training=True))
    found[name] = gaps
found["moved"] = gap(fused.moving_mean.value, np.zeros(8))
kinds = {f: type(batch_normalization(f, name=f)).__name__ for f in ("channels_first", "channels_last")}
print(json.dumps({"gaps": found, "kinds": kinds}))
"""


def test_equals_keras_batch_normalization_on_torch(tmp_path):
    need_backend("torch")
    result = json.loads(run_python(COMPARE, backend="torch", cwd=tmp_path))
    gaps = result["gaps"]
    assert gaps.pop("moved") > 0.01
    for shape, values in gaps.items():
        for what, gap in values.items():
            assert gap < 1e-5, f"{what} of the {shape} input differs by {gap}"
    assert result["kinds"] == {"channels_first": "FusedBatchNormalization", "channels_last": "BatchNormalization"}


def test_other_backends_get_keras_own_layer(keras):
    if keras.backend.backend() == "torch":
        pytest.skip("this process runs on torch")
    from fer_edge_train.fused_batch_norm import batch_normalization

    for data_format, axis in (("channels_first", 1), ("channels_last", -1)):
        layer = batch_normalization(data_format, name="bn")
        assert type(layer) is keras.layers.BatchNormalization
        assert layer.axis == axis
