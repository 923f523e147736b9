from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.datasets.joining import find_same_pictures, join


def face_set(values, label_indices, subjects=None, sources=None, labels=("happy", "sad")) -> FaceSet:
    """Pictures of 4 x 4 pixels: the value, then the numbers that follow it."""
    images = np.array(values, dtype=np.uint8)[:, None] + np.arange(16, dtype=np.uint8)
    return FaceSet(
        images=images.reshape(-1, 4, 4, 1),
        label_indices=np.array(label_indices, dtype=np.int64),
        labels=labels,
        rows=np.arange(len(values), dtype=np.int64) + 40,
        subjects=None if subjects is None else np.array(subjects, dtype=np.str_),
        sources=None if sources is None else np.array(sources, dtype=np.str_),
    )


RAF = face_set([1, 2], [0, 1], None, ["train_1.jpg", "train_2.jpg"])
CK = face_set([3, 4, 5], [1, 1, 0], ["S1", "", "S2"], ["sad/a.png", "sad/b.png", "happy/c.png"])
FER = face_set([6], [0])


def test_joined_faces_keep_where_they_came_from():
    joined = join({"raf-db": RAF, "ck-plus": CK, "fer-2013": FER})
    np.testing.assert_array_equal(joined.images, np.concatenate([RAF.images, CK.images, FER.images]))
    assert joined.label_indices.tolist() == [0, 1, 1, 1, 0, 0]
    assert joined.sources.tolist() == [
        "raf-db/train_1.jpg",
        "raf-db/train_2.jpg",
        "ck-plus/sad/a.png",
        "ck-plus/sad/b.png",
        "ck-plus/happy/c.png",
        "fer-2013/row 41",
    ]
    assert joined.subjects.tolist() == ["", "", "ck-plus/S1", "", "ck-plus/S2", ""]
    assert joined.rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_joined_faces_keep_what_they_were_scaled_from():
    scaled = dataclasses.replace(RAF, originals=np.array(["a", "b"]))
    assert join({"raf-db": scaled, "fer-2013": FER}).picture_names() == ["a", "b", *FER.picture_names()]


def test_people_with_one_name_in_two_sets_stay_two():
    joined = join({"a": CK, "b": CK})
    assert set(joined.subjects) == {"", "a/S1", "a/S2", "b/S1", "b/S2"}


def test_no_subjects_stay_none():
    assert join({"raf-db": RAF, "fer-2013": FER}).subjects is None


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({}, "expected at least one data set to join, found none"),
        (
            {"a": RAF, "b": dataclasses.replace(CK, labels=("happy", "sad", "contempt"))},
            "b: expected the labels of a (happy, sad), found happy, sad, contempt; read both with or without contempt",
        ),
        (
            {"a": RAF, "b": dataclasses.replace(CK, images=CK.images[:, :2])},
            "b: expected images of (4, 4, 1) as in a, found (2, 4, 1); read both with one size and colour",
        ),
    ],
    ids=["none", "labels", "sizes"],
)
def test_sets_that_do_not_fit_are_refused(sets, message):
    with pytest.raises(InputError) as caught:
        join(sets)
    assert str(caught.value) == message


def test_pictures_in_several_places_are_found_with_their_labels():
    train = face_set([1, 2, 3, 1, 4], [0, 0, 1, 0, 1])
    test = face_set([9, 3, 2], [0, 1, 1], None, ["x.png", "y.png", "z.png"])
    found = find_same_pictures({"train": train, "test": test})
    places = [[(p.set_name, p.index, p.source, p.label) for p in same.places] for same in found]
    assert places == [
        [("train", 0, "row 41", "happy"), ("train", 3, "row 44", "happy")],
        [("train", 1, "row 42", "happy"), ("test", 2, "z.png", "sad")],
        [("train", 2, "row 43", "sad"), ("test", 1, "y.png", "sad")],
    ]
    assert [same.is_across for same in found] == [False, True, True]
    assert [same.has_conflict for same in found] == [False, True, False]


@pytest.mark.data
@pytest.mark.slow
def test_fer_2013_has_pictures_in_both_splits(data_folder):
    from fer_edge_train.datasets import read_fer2013

    sets = read_fer2013(data_folder / "fer2013" / "fer2013.csv.gz", ("Training", "PublicTest"))
    leaks = [same for same in find_same_pictures(sets) if same.is_across]
    leaked = sum(place.set_name == "Training" for same in leaks for place in same.places)
    assert leaked == len(sets["Training"]) - len(sets["Training"].without_images_of(sets["PublicTest"]))
    assert len(leaks) == 270
