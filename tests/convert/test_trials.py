from __future__ import annotations

import json

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_onnx

from fer_edge.preprocess import PixelCoding
from fer_edge_convert.measuring import mean_divergence
from fer_edge_convert.quantizers import quantizer_for
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.trials import Trials
from fer_edge_train.datasets import FER2013_LABELS, FaceSet

pytestmark = pytest.mark.host

IMAGES = calibration_images(120, seed=8)
CODING = PixelCoding(mean=128.0, std=128.0)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.fixture
def faces() -> FaceSet:
    labels = np.arange(120) % 7
    return FaceSet(images=IMAGES, label_indices=labels, labels=FER2013_LABELS, rows=np.arange(120))


def test_divergence_of_known_probabilities():
    p = np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)
    q = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    expected = (0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75) + np.log(2)) / 2
    assert mean_divergence(p, q) == pytest.approx(expected)
    assert mean_divergence(p, p) == pytest.approx(0.0)


def test_a_trial_is_what_the_engine_itself_gives(calibrated, model, faces):
    recipe = VariantRecipe(method="min-max")
    found = Trials(calibrated, CODING, faces).run("onnx", "int8", recipe)

    made = quantizer_for("onnx", calibrated).convert("int8", recipe)
    (stored,) = run_onnx(made.contents[0], pixels=IMAGES)
    (output,) = made.outputs
    probs = softmax((stored.astype(np.float64) - output.zero_point) * output.scale)
    expected = softmax(model.predict(coded(IMAGES), verbose=0).astype(np.float64))
    assert found.divergence == pytest.approx((expected * np.log(expected / probs)).sum(axis=1).mean(), rel=1e-3)
    assert found.agreement == (probs.argmax(axis=1) == expected.argmax(axis=1)).mean()
    right = [(p.argmax(axis=1) == faces.label_indices).mean() for p in (expected, probs)]
    assert found.drop_points == pytest.approx(100 * (right[0] - right[1]))
    assert found.n_bytes == len(made.contents[0])


def test_what_was_tried_is_remembered(calibrated, faces, tmp_path, monkeypatch):
    memory = tmp_path / "memory.json"
    recipe = VariantRecipe(method="percentile")
    said: list[str] = []
    first = Trials(calibrated, CODING, faces, memory=memory).run("litert", "int8", recipe)
    assert len(json.loads(memory.read_text(encoding="utf-8"))) == 1

    monkeypatch.setattr(Trials, "_try", lambda *_: pytest.fail("tried again"))
    assert Trials(calibrated, CODING, faces, memory=memory, say=said.append).run("litert", "int8", recipe) == first
    assert said == [
        f"tried litert int8, percentile: divergence {first.divergence:.5f}, same label {100 * first.agreement:.1f} %, "
        f"{first.n_bytes} bytes"
    ]


def test_what_is_said_tells_of_corrected_biases(calibrated, faces):
    said: list[str] = []
    Trials(calibrated, CODING, faces, say=said.append).run("onnx", "int8", VariantRecipe(bias_correction=True))
    assert said[0].startswith("tried onnx int8, mse, biases corrected: divergence ")


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"x": {"y": 1}}', '{"x": {"divergence": "a"}}', "[" * 100_000], ids=range(6)
)
def test_a_damaged_memory_is_tried_anew(calibrated, faces, tmp_path, content):
    memory = tmp_path / "memory.json"
    memory.write_text(content, encoding="utf-8")
    said: list[str] = []
    trials = Trials(calibrated, CODING, faces, memory=memory, say=said.append)
    assert said == [f"{memory} holds no trials that can be read; the search begins anew"]
    trials.run("litert", "int8", VariantRecipe(method="min-max"))
    assert len(json.loads(memory.read_text(encoding="utf-8"))) == 1
