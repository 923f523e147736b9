from __future__ import annotations

import hashlib

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge.errors import InputError
from fer_edge_convert.calibration import draw_calibration
from fer_edge_train.datasets import FER2013_LABELS, FaceSet

NOTHING = learnable_set(7, seed=99)


def join(*sets: FaceSet) -> FaceSet:
    return FaceSet(
        images=np.concatenate([s.images for s in sets]),
        label_indices=np.concatenate([s.label_indices for s in sets]),
        labels=sets[0].labels,
        rows=np.arange(sum(len(s) for s in sets)),
    )


def test_as_many_of_each_class():
    # Seven times as many neutral faces as any other.
    many = learnable_set(350)
    training = join(learnable_set(70, seed=1), many.take(many.label_indices == 6))
    found = draw_calibration(training, NOTHING, per_class=4, seed=0)
    assert np.bincount(found.faces.label_indices).tolist() == [4] * 7
    assert len(set(found.faces.rows.tolist())) == 28  # none twice
    assert (np.diff(found.faces.rows) > 0).all()  # in the file's order
    np.testing.assert_array_equal(found.faces.images, training.images[found.faces.rows])


def test_the_seed_decides():
    training = learnable_set(210)
    first, again, other = (draw_calibration(training, NOTHING, per_class=10, seed=seed) for seed in (1, 1, 2))
    assert first.faces.digest() == again.faces.digest() != other.faces.digest()


def test_never_an_image_of_the_evaluation_set():
    """All but two images of each class are in the evaluation set as well, some under another label."""
    training = learnable_set(140)
    allowed = np.flatnonzero(np.arange(140) % 70 < 7)  # of each class the first and the eleventh
    leaked = training.take(np.setdiff1d(np.arange(140), allowed))
    evaluation = FaceSet(
        images=leaked.images, label_indices=(leaked.label_indices + 1) % 7, labels=leaked.labels, rows=leaked.rows
    )
    for seed in range(5):
        found = draw_calibration(training, evaluation, per_class=2, seed=seed)
        assert found.faces.rows.tolist() == allowed.tolist()
    with pytest.raises(InputError):
        draw_calibration(training, evaluation, per_class=3, seed=0)


def test_no_constant_images():
    training = learnable_set(21)
    training.images[::3] = 77
    kept = np.bincount(training.label_indices[np.arange(21) % 3 != 0], minlength=7)
    assert kept.tolist() == [2] * 7
    found = draw_calibration(training, NOTHING, per_class=2, seed=0)
    assert not (found.faces.rows % 3 == 0).any()


def test_too_few_images_are_an_error():
    training = learnable_set(70)
    training = training.take((training.label_indices != 1) | (training.rows < 20))
    with pytest.raises(InputError) as caught:
        draw_calibration(training, NOTHING, per_class=10, seed=0)
    assert str(caught.value) == (
        "calibration: expected at least 10 training images of disgust, found 3; ask for fewer per class"
    )


def test_what_the_manifest_states():
    found = draw_calibration(learnable_set(70), NOTHING, per_class=5, seed=3)
    digest = hashlib.sha256(
        found.faces.images.tobytes() + found.faces.label_indices.astype("<i8").tobytes()
    ).hexdigest()
    assert found.to_json("ab" * 32) == {
        "data": "FER-2013 Training",
        "data_file_sha256": "ab" * 32,
        "images": 35,
        "images_per_class": 5,
        "seed": 3,
        "digest": digest,
        "method": "minimum and maximum",
    }
    assert found.faces.labels == FER2013_LABELS
