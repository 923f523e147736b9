from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.datasets.arrays import pixel_digests


def face_set(n: int, n_classes: int = 3, seed: int = 0) -> FaceSet:
    rng = np.random.default_rng(seed)
    return FaceSet(
        images=rng.integers(0, 256, (n, 4, 5, 1), dtype=np.uint8),
        label_indices=np.arange(n, dtype=np.int64) % n_classes,
        labels=tuple("abcdefg"[:n_classes]),
        rows=np.arange(n, dtype=np.int64) + 100,
    )


def with_people(faces: FaceSet) -> FaceSet:
    """Face i is of person i modulo 4 and came from "file i.png"."""
    n = len(faces)
    return changed(
        faces,
        subjects=np.array([f"S{i % 4}" for i in range(n)], dtype=np.str_),
        sources=np.array([f"file {i}.png" for i in range(n)], dtype=np.str_),
    )


def changed(faces: FaceSet, **fields) -> FaceSet:
    return dataclasses.replace(faces, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"images": np.zeros((2, 4, 5), np.uint8)}, "images: expected uint8 (n, h, w, c), found uint8 (2, 4, 5)"),
        (
            {"images": np.zeros((2, 4, 5, 1), np.float32)},
            "images: expected uint8 (n, h, w, c), found float32 (2, 4, 5, 1)",
        ),
        ({"label_indices": np.zeros(3, np.int64)}, "expected 2 label indices and rows, found (3,) and (2,)"),
        ({"rows": np.zeros((2, 1), np.int64)}, "expected 2 label indices and rows, found (2,) and (2, 1)"),
        ({"subjects": np.array(["a"])}, "subjects: expected str (2,), found <U1 (1,)"),
        ({"subjects": np.array([1, 2])}, "subjects: expected str (2,), found int64 (2,)"),
        ({"sources": np.array([["ab", "c"]])}, "sources: expected str (2,), found <U2 (1, 2)"),
        ({"originals": np.array([b"a", b"b"])}, "originals: expected str (2,), found |S1 (2,)"),
    ],
    ids=[
        "no channels",
        "float",
        "labels",
        "rows",
        "too few subjects",
        "numbers for subjects",
        "table of sources",
        "bytes for originals",
    ],
)
def test_mismatched_arrays_are_refused(fields, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        changed(face_set(2), **fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "keep", [np.array([4, 1]), np.array([False, True, False, False, True])], ids=["positions", "mask"]
)
def test_take_keeps_image_label_and_row_together(keep):
    faces = face_set(5)
    taken = faces.take(keep)
    order = keep if keep.dtype != bool else np.flatnonzero(keep)
    assert taken.rows.tolist() == [100 + i for i in order]
    assert taken.label_indices.tolist() == [i % 3 for i in order]
    np.testing.assert_array_equal(taken.images, np.stack([faces.images[i] for i in order]))


def parts_of(faces: FaceSet) -> list[FaceSet]:
    images = faces.images.copy()
    images[7] = 3
    other = changed(faces.take(np.array([5])), subjects=None, sources=None)
    faces = changed(faces, images=images)
    return [faces.without_constant_images(), faces.without_images_of(other), *faces.split(0.3, seed=1)]


@pytest.mark.parametrize("part", range(4), ids=["constant", "of another", "first part", "second part"])
def test_subjects_and_sources_follow_their_face(part):
    found = parts_of(with_people(face_set(40)))[part]
    assert 0 < len(found) < 40
    numbers = (found.rows - 100).tolist()
    assert found.subjects.tolist() == [f"S{i % 4}" for i in numbers]
    assert found.sources.tolist() == [f"file {i}.png" for i in numbers]
    assert [found.source(i) for i in range(len(found))] == found.sources.tolist()


def test_a_face_without_a_source_is_named_by_its_row_counted_from_1():
    assert [face_set(3).source(i) for i in (0, 2)] == ["row 101", "row 103"]


def test_a_picture_is_named_by_what_it_was_scaled_from():
    faces = face_set(3)
    shape = (4, 5, 1)
    assert faces.picture_names() == [
        hashlib.sha256(repr(shape).encode() + image.tobytes()).hexdigest() for image in faces.images
    ]
    scaled = changed(faces, originals=np.array(["a", "b", "a"]))
    assert scaled.picture_names() == ["a", "b", "a"]
    assert scaled.take(np.array([1, 0])).picture_names() == ["b", "a"]


def test_pictures_of_equal_bytes_and_other_sides_are_told_apart():
    flat = np.zeros((2, 8, 1), np.uint8)
    names = pixel_digests([flat, flat.reshape(4, 4, 1), flat]).tolist()
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize("seed", range(5))
def test_split_keeps_faces_of_one_original_on_one_side(seed):
    originals = np.array([str(i % 30) for i in range(90)])
    first, second = changed(face_set(90), originals=originals).split(0.2, seed=seed)
    assert len(second) > 0
    assert not set(first.originals) & set(second.originals)


def test_subjects_and_sources_do_not_change_the_digest():
    assert with_people(face_set(6)).digest() == face_set(6).digest()


def test_class_counts_include_classes_without_faces():
    assert face_set(5, n_classes=7).class_counts().tolist() == [1, 1, 1, 1, 1, 0, 0]


def test_empty_classes_are_named():
    face_set(7, n_classes=7).require_every_class("set")
    with pytest.raises(InputError) as caught:
        face_set(5, n_classes=7).require_every_class("/data/set: train")
    assert str(caught.value) == (
        "/data/set: train: expected faces of each of 7 classes, found none of f, g; "
        "add a data set that has them (several can be joined)"
    )


def test_digest_is_sha256_of_pixels_then_labels():
    faces = face_set(4)
    data = b"".join(image.tobytes() for image in faces.images)
    data += b"".join(int(label).to_bytes(8, "little") for label in faces.label_indices)
    assert faces.digest() == hashlib.sha256(data).hexdigest()
    strided = changed(faces, images=np.ascontiguousarray(faces.images.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3))
    assert strided.digest() == faces.digest()


def with_pixel(faces: FaceSet) -> FaceSet:
    images = faces.images.copy()
    images[3, 2, 1, 0] ^= 1
    return changed(faces, images=images)


def with_label(faces: FaceSet) -> FaceSet:
    label_indices = faces.label_indices.copy()
    label_indices[-1] = (label_indices[-1] + 1) % 3
    return changed(faces, label_indices=label_indices)


@pytest.mark.parametrize(
    "change",
    [with_pixel, with_label, lambda faces: faces.take(np.array([1, 0, 2, 3])), lambda faces: faces.take(np.arange(3))],
    ids=["a pixel", "a label", "the order", "one less"],
)
def test_digest_changes_with(change):
    faces = face_set(4)
    assert change(faces).digest() != faces.digest()


def test_constant_images_are_dropped_whatever_their_value():
    faces = face_set(6)
    images = faces.images.copy()
    images[0], images[2], images[5] = 0, 255, 17
    images[1] = 9
    images[1, 3, 4, 0] = 10
    assert changed(faces, images=images).without_constant_images().rows.tolist() == [101, 103, 104]


def test_empty_sets_stay_empty():
    empty = face_set(4).take(np.zeros(4, dtype=np.bool_))
    assert len(empty.without_constant_images()) == 0
    assert len(empty.without_images_of(face_set(4))) == 0


def test_images_of_another_set_are_dropped_whatever_their_label():
    faces, other = face_set(6, seed=1), face_set(4, seed=2)
    images = faces.images.copy()
    images[1] = images[4] = other.images[3]
    assert changed(faces, images=images).without_images_of(other).rows.tolist() == [100, 102, 103, 105]


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5])
def test_split_takes_the_fraction_of_each_class(fraction):
    faces = face_set(300)
    first, second = faces.split(fraction, seed=5)
    assert np.bincount(second.label_indices, minlength=3).tolist() == [round(100 * fraction)] * 3
    assert sorted([*first.rows, *second.rows]) == list(range(100, 400))
    assert (np.diff(first.rows) > 0).all()


def test_split_is_decided_by_its_seed():
    faces = face_set(60)
    rows = [faces.split(0.2, seed=seed)[1].rows.tolist() for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize("seed", range(5))
def test_split_keeps_identical_images_on_one_side(seed):
    faces = face_set(90)
    images = faces.images.copy()
    for copy in range(10, 90, 4):  # copies across classes too
        images[copy] = images[copy % 10]
    first, second = changed(faces, images=images).split(0.2, seed=seed)
    assert len(second) > 0
    assert not set(first.image_digests()) & set(second.image_digests())
