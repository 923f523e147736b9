"""The engines give the same answers on the same bundle, as far as their arithmetic can be the same.

Measured on x86-64 (AVX-512 VNNI) with crops of the demo photo's face and with noise, largest differences:

- float32: logits of the classifier 2e-6, of MTCNN's networks 1e-5;
- int8, a probability on faces and on noise: LiteRT and ONNX Runtime, whose files hold the same integers, 0.0006 and
  0.005; LiteRT's fast and reference kernels 0.02 and 0.04; OpenVINO, whose file NNCF quantized with ranges of its own,
  0.10 and 0.36 from the others.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from runtime_support import ENGINE_NAMES, installed_engine

from fer_edge.assets import demo_photo_path
from fer_edge.classifier import softmax
from fer_edge.images import read_image
from fer_edge.preprocess import face_pixels, resize_exact
from fer_edge.stage import Stage

PAIRS = list(itertools.combinations(ENGINE_NAMES, 2))


@pytest.fixture(scope="module")
def crops():
    """25 crops of one face, shifted, in colour."""
    photo = read_image(demo_photo_path())
    return [photo[y : y + 120, x : x + 120] for y in range(40, 80, 8) for x in range(150, 190, 8)]


@pytest.fixture(scope="module")
def answers(default_bundle, crops):
    """Function from stage, engine, precision and kernels to the outputs for faces and for noise."""
    rng = np.random.default_rng(0)
    made = {}

    def answer(stage_name, engine, precision, reference_kernels=False):
        key = stage_name, engine, precision, reference_kernels
        if key not in made:
            stage = Stage(
                default_bundle,
                stage_name,
                installed_engine(engine),
                precision=precision,
                batch_sizes=(1, 16),
                reference_kernels=reference_kernels,
            )
            if key[0] not in inputs:
                size = stage.input_size_wh or (60, 80)
                faces = (
                    [face_pixels(crop, size, 1) for crop in crops]
                    if stage.channels == 1
                    else [resize_exact(crop, size) for crop in crops]
                )
                noise = rng.integers(0, 256, (16, *faces[0].shape), dtype=np.uint8)
                inputs[key[0]] = np.stack(faces), noise
            made[key] = [stage.run(pixels) for pixels in inputs[key[0]]]
        return made[key]

    inputs = {}
    return answer


def largest_difference(a, b):
    return float(np.abs(a - b).max())


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=[f"{a} and {b}" for a, b in PAIRS])
@pytest.mark.parametrize(
    ("stage", "outputs"), [("classifier", 1), ("pnet", 2), ("rnet", 2), ("onet", 3)], ids=lambda value: str(value)
)
def test_float_networks(answers, a, b, stage, outputs):
    for first, second in zip(answers(stage, a, "float32"), answers(stage, b, "float32"), strict=True):
        assert len(first) == len(second) == outputs
        for one, other in zip(first, second, strict=True):
            assert one.shape == other.shape
            assert np.ptp(one) > 0.01, "the same number for all inputs proves nothing"
            assert largest_difference(one, other) <= 1e-4


@pytest.mark.parametrize(
    ("a", "b", "on_faces", "on_noise"),
    [
        # ONNX weights keep seven bits, its additions share scales, biases are corrected for each engine: 0.07 on noise.
        pytest.param(("litert", False), ("onnx", False), 0.03, 0.10, id="litert and onnx"),
        pytest.param(("litert", True), ("onnx", False), 0.05, 0.10, id="litert's reference kernels and onnx"),
        pytest.param(("litert", True), ("litert", False), 0.05, 0.10, id="litert's reference and fast kernels"),
        pytest.param(("openvino", False), ("onnx", False), 0.20, 0.50, id="openvino and onnx"),
    ],
)
def test_quantized_classifiers(answers, a, b, on_faces, on_noise):
    (a_faces, a_noise), (b_faces, b_noise) = (
        answers("classifier", engine, "int8", reference) for engine, reference in (a, b)
    )
    for first, second, tolerance in ((a_faces, b_faces, on_faces), (a_noise, b_noise, on_noise)):
        assert largest_difference(softmax(first[0]), softmax(second[0])) <= tolerance


@pytest.mark.parametrize(
    ("engine", "tolerance"), [("litert", 0.05), ("onnx", 0.05), ("openvino", 0.20)], ids=lambda value: str(value)
)
def test_quantizing_moves_the_answer_a_little(answers, engine, tolerance):
    # Measured on the faces: litert and onnx 0.015, openvino 0.09.
    (quantized, _), (real, _) = answers("classifier", engine, "int8"), answers("classifier", engine, "float32")
    difference = largest_difference(softmax(quantized[0]), softmax(real[0]))
    assert 0 < difference <= tolerance


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_batch_is_its_images(default_bundle, crops, engine, precision):
    pixels = np.stack([face_pixels(crop, (48, 48), 1) for crop in crops[:4]])
    made = installed_engine(engine)
    (whole,) = Stage(default_bundle, "classifier", made, precision=precision, batch_sizes=(1, 4)).run(pixels)
    (single,) = Stage(default_bundle, "classifier", made, precision=precision).run(pixels)
    # Integers are the same whatever the batch; sums of floats may be taken in another order.
    np.testing.assert_allclose(whole, single, atol=1e-4 if precision == "float32" or engine == "openvino" else 0)
