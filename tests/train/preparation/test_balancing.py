from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer_edge.errors import UsageError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.preparation.balancing import balance, noisy_copy


def gray_faces(*counts: int, value: int = 128) -> FaceSet:
    """Plain faces, `counts` of each class, in rows 100, 101 …"""
    labels = tuple("abcdefg"[: len(counts)])
    indices = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    images = np.full((len(indices), 48, 48, 1), value, np.uint8)
    return FaceSet(images=images, label_indices=indices, labels=labels, rows=np.arange(100, 100 + len(indices)))


@pytest.mark.parametrize(
    ("counts", "max_factor", "factors"),
    [
        pytest.param((10, 5, 3, 1), 3, (1, 2, 3, 3), id="as often as fits below the largest"),
        pytest.param((10, 6, 4), 3, (1, 1, 2), id="never above it"),
        pytest.param((10, 5, 3, 1), 2, (1, 2, 2, 2), id="at most twice"),
        pytest.param((10, 5, 3, 1), 1, (1, 1, 1, 1), id="no copies"),
        pytest.param((4, 0, 2), 3, (1, 1, 2), id="an empty class"),
        pytest.param((4, 4), 3, (1, 1), id="balanced already"),
    ],
)
def test_how_often_a_class_is_repeated(counts, max_factor, factors):
    balanced = balance(gray_faces(*counts), seed=1, max_factor=max_factor)
    assert balanced.factors == factors
    expected = [n * factor for n, factor in zip(counts, factors, strict=True)]
    assert np.bincount(balanced.faces.label_indices, minlength=len(counts)).tolist() == expected


def test_originals_come_first_untouched_and_copies_know_theirs():
    faces = gray_faces(6, 2, 3)
    balanced = balance(faces, seed=1)
    n = len(faces)
    np.testing.assert_array_equal(balanced.faces.images[:n], faces.images)
    assert balanced.copy_numbers.tolist() == [0] * n + [1] * 5 + [2] * 2
    assert balanced.faces.rows[n:].tolist() == [106, 107, 108, 109, 110, 106, 107]
    np.testing.assert_array_equal(balanced.faces.label_indices, faces.label_indices[balanced.faces.rows - 100])
    assert balanced.to_json() == {
        "factors": {"a": 1, "b": 3, "c": 2},
        "pictures": {"a": 6, "b": 6, "c": 6},
        "copies": 7,
    }


def test_who_is_on_a_face_stays_with_its_copies():
    faces = replace(gray_faces(2, 1), subjects=np.array(["ann", "bob", "cleo"]))
    assert balance(faces, seed=1).faces.subjects.tolist() == ["ann", "bob", "cleo", "cleo"]


def test_the_noise_has_mean_0_and_variance_5():
    copies = balance(gray_faces(60, 20), seed=3).faces.images[80:]
    noise = copies.astype(np.float64) - 128
    assert noise.shape == (40, 48, 48, 1)
    # n = 92,160: standard errors 0.0074 of the mean and 0.024 of the variance; rounding adds 1/12.
    assert noise.mean() == pytest.approx(0.0, abs=0.03)
    assert noise.var() == pytest.approx(5 + 1 / 12, abs=0.1)
    # Normal: 68 % within one standard deviation, that is from -2 to 2 once rounded (74 % within 2.5 / sqrt(5)).
    assert (np.abs(noise) <= 2).mean() == pytest.approx(0.7364, abs=0.01)


def test_pictures_get_noise_of_their_own():
    first, second, third = (noisy_copy(np.full((9, 9, 1), 128, np.uint8), seed=1, row=row, copy_number=number)
                            for row, number in ((5, 1), (5, 2), (6, 1)))  # fmt: skip
    assert (first != second).any()
    assert (first != third).any()
    assert (second != third).any()


def test_a_copy_depends_on_seed_row_and_number_alone():
    faces = gray_faces(6, 2)
    whole, part = balance(faces, seed=9), balance(faces.take(np.array([0, 1, 2, 3, 7])), seed=9)
    of_row_107 = [image for image, row, n in zip(whole.faces.images, whole.faces.rows, whole.copy_numbers, strict=True)
                  if row == 107 and n == 2]  # fmt: skip
    np.testing.assert_array_equal(part.faces.images[-1], of_row_107[0])
    np.testing.assert_array_equal(noisy_copy(faces.images[7], seed=9, row=107, copy_number=2), of_row_107[0])
    assert (balance(faces, seed=10).faces.images != whole.faces.images).any()


@pytest.mark.parametrize(("value", "mean"), [(0, 1), (255, 254)])
def test_noise_stays_within_the_pixels_values(value, mean):
    copy = noisy_copy(np.full((48, 48, 1), value, np.uint8), seed=1, row=1, copy_number=1)
    assert abs(float(copy.mean()) - mean) < 0.3  # half of the noise is cut off: E|x| / 2 = 0.89
    assert abs(int(copy.max()) - int(copy.min())) < 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_factor": 4}, "max_factor: expected 1 to 3, found 4"),
        ({"max_factor": 0}, "max_factor: expected 1 to 3, found 0"),
        ({"variance": -1.0}, "variance: expected 0 to 10000, found -1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UsageError, match=message):
        balance(gray_faces(2, 1), seed=1, **options)
