from __future__ import annotations

import hashlib

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge.errors import InputError
from fer_edge_convert.calibration import draw_calibration, draw_selection
from fer_edge_convert.conversion_data import ConversionData, HeldOut
from fer_edge_train.datasets import FER2013_LABELS, FaceSet


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
    found = draw_calibration(training, per_class=4, seed=0)
    assert np.bincount(found.faces.label_indices).tolist() == [4] * 7
    assert len(set(found.faces.rows.tolist())) == 28  # none twice
    assert (np.diff(found.faces.rows) > 0).all()  # in the file's order
    np.testing.assert_array_equal(found.faces.images, training.images[found.faces.rows])


def test_the_seed_decides():
    training = learnable_set(210)
    first, again, other = (draw_calibration(training, per_class=10, seed=seed) for seed in (1, 1, 2))
    assert first.faces.digest() == again.faces.digest() != other.faces.digest()


def test_too_few_images_are_an_error():
    training = learnable_set(70)
    training = training.take((training.label_indices != 1) | (training.rows < 20))
    with pytest.raises(InputError) as caught:
        draw_calibration(training, per_class=10, seed=0)
    assert str(caught.value) == (
        "calibration: expected at least 10 training images of disgust, found 3; ask for fewer per class"
    )


def test_what_the_manifest_states():
    faces = learnable_set(70)
    found = draw_calibration(faces, per_class=5, seed=3)
    digest = hashlib.sha256(
        found.faces.images.tobytes() + found.faces.label_indices.astype("<i8").tobytes()
    ).hexdigest()
    held_out = HeldOut(name="test", title="Set test", faces=faces)
    data = ConversionData(
        pool=faces, pool_title="FER-2013 Training", pool_sha256="ab" * 32, n_shared=0, held_out=held_out
    )
    assert found.to_json(data) == {
        "data": "FER-2013 Training",
        "data_file_sha256": "ab" * 32,
        "images": 35,
        "images_per_class": 5,
        "seed": 3,
        "digest": digest,
    }
    assert found.faces.labels == FER2013_LABELS


def test_selection_faces_are_not_those_of_calibration():
    pool = learnable_set(140)
    calibration = draw_calibration(pool, per_class=5, seed=3)
    found = draw_selection(pool, calibration, seed=3)
    assert sorted([*found.rows, *calibration.faces.rows]) == list(range(140))
    assert len(draw_selection(pool, None, seed=3)) == 140


def test_a_thousand_selection_faces_are_drawn():
    pool = learnable_set(2100)
    first, again, other = (draw_selection(pool, None, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 1000
    assert first.digest() == again.digest() != other.digest()
    assert len(set(first.rows.tolist())) == 1000


def test_calibration_must_leave_faces_to_choose_by():
    pool = learnable_set(70)
    with pytest.raises(InputError, match="calibration takes every training image; ask for fewer per class"):
        draw_selection(pool, draw_calibration(pool, per_class=10, seed=0), seed=0)
