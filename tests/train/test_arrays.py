from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fer_edge_train.datasets import FaceSet


def face_set(n: int, n_classes: int = 3, seed: int = 0) -> FaceSet:
    rng = np.random.default_rng(seed)
    return FaceSet(
        images=rng.integers(0, 256, (n, 4, 5, 1), dtype=np.uint8),
        label_indices=np.arange(n, dtype=np.int64) % n_classes,
        labels=tuple("abcdefg"[:n_classes]),
        rows=np.arange(n, dtype=np.int64) + 100,
    )


def changed(faces: FaceSet, **fields) -> FaceSet:
    names = ("images", "label_indices", "labels", "rows")
    return FaceSet(**{name: fields.get(name, getattr(faces, name)) for name in names})


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
    ],
    ids=["no channels", "float", "labels", "rows"],
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
