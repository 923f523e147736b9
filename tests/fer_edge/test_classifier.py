from __future__ import annotations

import math

import numpy as np
import pytest
from runtime_support import fake_engine, manifest_json, write_bundle

from fer_edge.bundle import Bundle
from fer_edge.classifier import EmotionClassifier, softmax
from fer_edge.errors import InputError, IntegrityError
from fer_edge.preprocess import crop_square, face_pixels
from fer_edge.stage import Stage


@pytest.mark.parametrize(
    ("logits", "probs"),
    [
        ([0, 0, 0, 0], [0.25] * 4),
        ([0, math.log(3)], [0.25, 0.75]),
        ([1000, 1000 + math.log(3)], [0.25, 0.75]),
        ([-1000, 1000], [0, 1]),
        ([5], [1]),
    ],
    ids=str,
)
def test_softmax_by_hand(logits, probs):
    found = softmax(np.array(logits, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, probs, rtol=1e-4, atol=1e-30)


def test_softmax_of_rows():
    logits = np.random.default_rng(0).normal(0, 10, (50, 7)).astype(np.float32)
    probs = softmax(logits)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(probs.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_array_equal(probs[7], softmax(logits[7]))
    assert softmax(np.empty((0, 7), np.float32)).shape == (0, 7)


def mean_logits(pixels):
    """The first class gets the mean of the coded pixels, the others the upper and the lower half's."""
    flat = pixels[..., 0]
    return (np.stack([flat.mean((1, 2)), flat[:, :3].mean((1, 2)), flat[:, 3:].mean((1, 2))], axis=1),)


def make_classifier(folder, content=None):
    bundle = Bundle.open(write_bundle(folder, content))
    stage = Stage(bundle, "classifier", fake_engine(mean_logits), batch_sizes=(1, 2))
    return EmotionClassifier(stage, bundle.manifest.labels)


@pytest.mark.parametrize("shape", [(6, 4), (60, 41), (60, 41, 1), (33, 90, 3)], ids=str)
def test_a_crop_of_any_size(tmp_path, shape):
    classifier = make_classifier(tmp_path / "bundle")
    face = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    coded = (face_pixels(face, (4, 6), 1)[np.newaxis].astype(np.float32) - 128) / 128
    probs = classifier(face)
    assert probs.shape == (3,)
    np.testing.assert_allclose(probs, softmax(mean_logits(coded)[0])[0], atol=1e-6)
    assert classifier.labels[int(probs.argmax())] in ("angry", "happy", "neutral")


def test_many_crops_are_the_crops_one_by_one(tmp_path):
    classifier = make_classifier(tmp_path / "bundle")
    rng = np.random.default_rng(0)
    faces = [rng.integers(0, 256, (10 + i, 20 - i, 3), dtype=np.uint8) for i in range(5)]
    np.testing.assert_array_equal(classifier.classify(faces), [classifier(face) for face in faces])
    assert classifier.classify([]).shape == (0, 3)


def test_boxes_are_cut_with_the_bundles_margin(tmp_path):
    content = manifest_json()
    content["stages"]["classifier"]["crop_margin"] = 0.5
    classifier = make_classifier(tmp_path / "bundle", content)
    frame = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    box = np.array([30, 20, 50, 50], np.float32)
    crop = crop_square(frame, box, 0.5)
    assert crop.shape == (45, 45, 3)
    np.testing.assert_array_equal(classifier.classify_boxes(frame, [box])[0], classifier(crop))


def test_what_is_no_face(tmp_path):
    with pytest.raises(InputError, match=r"^image: expected a numpy array of uint8, found float32$"):
        make_classifier(tmp_path / "bundle")(np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("missing", ["crop_margin", "size"])
def test_a_bundle_without_what_a_classifier_needs(tmp_path, missing):
    content = manifest_json()
    if missing == "crop_margin":
        content["stages"]["classifier"]["crop_margin"] = None
    else:
        content["stages"]["classifier"]["variants"][0]["inputs"][0]["shape"] = [None, None, None, 1]
    with pytest.raises(IntegrityError, match=r"must state a fixed input size and a crop_margin$"):
        make_classifier(tmp_path / "bundle", content)
