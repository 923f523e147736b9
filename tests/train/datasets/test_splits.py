from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.datasets.splits import (
    k_folds,
    shared_subjects,
    stratified_split,
    subject_disjoint_split,
    subject_folds,
)


def people(n_people: int, per_class: tuple[int, ...], seed: int = 0) -> FaceSet:
    """Each person has `per_class` different pictures of each class."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.repeat(np.arange(len(per_class)), per_class), n_people)
    n = len(labels)
    order = rng.permutation(n)
    return FaceSet(
        images=rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8),
        label_indices=labels[order].astype(np.int64),
        labels=tuple("abcdefg"[: len(per_class)]),
        rows=np.arange(n, dtype=np.int64),
        subjects=np.repeat([f"S{i:03d}" for i in range(n_people)], sum(per_class))[order],
    )


def with_copies(faces: FaceSet, pairs) -> FaceSet:
    images = faces.images.copy()
    for original, copy in pairs:
        images[copy] = images[original]
    return dataclasses.replace(faces, images=images)


JAFFE_LIKE = people(10, (3, 3, 3, 3, 3, 3, 3))
CK_LIKE = people(100, (1, 1, 1, 2, 1, 2, 0))
SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("split", [stratified_split, subject_disjoint_split])
def test_both_parts_together_are_the_set(split, seed):
    first, second = split(CK_LIKE, 0.2, seed=seed)
    assert sorted([*first.rows, *second.rows]) == CK_LIKE.rows.tolist()
    assert (np.diff(first.rows) > 0).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("faces", "n_second"), [(JAFFE_LIKE, 2), (CK_LIKE, 20)], ids=["jaffe", "ck-plus"])
def test_nobody_is_in_both_parts(faces, n_second, seed):
    first, second = subject_disjoint_split(faces, 0.2, seed=seed)
    assert shared_subjects(first, second) == ()
    assert len(set(second.subjects)) == n_second
    np.testing.assert_array_equal(second.class_counts() * 5, faces.class_counts())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_split_leaks_people(seed):
    first, second = stratified_split(JAFFE_LIKE, 0.2, seed=seed)
    assert second.class_counts().tolist() == [6] * 7
    assert len(shared_subjects(first, second)) >= 8


@pytest.mark.parametrize("split", [stratified_split, subject_disjoint_split])
def test_a_split_is_decided_by_its_seed(split):
    rows = [split(CK_LIKE, 0.2, seed=seed)[1].rows.tolist() for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_uneven_people_are_balanced(seed):
    rng = np.random.default_rng(seed)
    faces = people(60, (4, 4, 4))
    faces = faces.take(rng.random(len(faces)) < rng.random(60)[[int(s[1:]) for s in faces.subjects]])
    for fraction in (0.1, 0.2, 0.5):
        first, second = subject_disjoint_split(faces, fraction, seed=seed)
        assert shared_subjects(first, second) == ()
        np.testing.assert_allclose(second.class_counts() / faces.class_counts(), fraction, atol=0.04)


@pytest.mark.parametrize("seed", SEEDS)
def test_people_who_share_a_picture_stay_together(seed):
    faces = people(12, (2, 2))
    # A chain: whoever has a copy of whose picture must be on that side too.
    of = {subject: int(np.argmax(faces.subjects == subject)) for subject in sorted(set(faces.subjects))}
    chain = [of[f"S{i:03d}"] for i in (0, 4, 8, 11)]
    faces = with_copies(faces, [(chain[0], other) for other in chain[1:]])
    first, second = subject_disjoint_split(faces, 0.3, seed=seed)
    assert not set(first.image_digests()) & set(second.image_digests())
    sides = [subject in set(second.subjects) for subject in ("S000", "S004", "S008", "S011")]
    assert len(set(sides)) == 1
    assert shared_subjects(first, second) == ()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", [2, 4, 5])
def test_folds_have_an_equal_share_of_each_class(k, seed):
    folds = k_folds(CK_LIKE, k, seed=seed)
    counts = np.array([CK_LIKE.take(folds == i).class_counts() for i in range(k)])
    assert counts.sum(axis=0).tolist() == CK_LIKE.class_counts().tolist()
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_identical_images_are_in_one_fold(seed):
    faces = with_copies(CK_LIKE, [(i, i + 100) for i in range(50)] + [(i, i + 300) for i in range(20)])
    folds = k_folds(faces, 4, seed=seed)
    assert (folds[:50] == folds[100:150]).all()
    assert (folds[:20] == folds[300:320]).all()
    np.testing.assert_allclose(np.bincount(folds), len(faces) / 4, atol=2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("faces", "k"), [(JAFFE_LIKE, 10), (JAFFE_LIKE, 4), (CK_LIKE, 10)])
def test_each_person_is_in_one_fold(faces, k, seed):
    folds = subject_folds(faces, k, seed=seed)
    assert sorted(set(folds)) == list(range(k))
    for subject in set(faces.subjects):
        assert len(set(folds[faces.subjects == subject])) == 1
    n_people = [len(set(faces.subjects[folds == i])) for i in range(k)]
    assert max(n_people) - min(n_people) <= 1


@pytest.mark.parametrize("folds_of", [k_folds, subject_folds])
def test_folds_are_decided_by_their_seed(folds_of):
    folds = [folds_of(CK_LIKE, 4, seed=seed).tolist() for seed in (1, 1, 2)]
    assert folds[0] == folds[1] != folds[2]


UNNAMED = dataclasses.replace(JAFFE_LIKE, subjects=np.where(np.arange(210) < 9, JAFFE_LIKE.subjects, ""))


@pytest.mark.parametrize(
    ("split", "faces", "message"),
    [
        (
            lambda faces: subject_disjoint_split(faces, 0.2, seed=0),
            dataclasses.replace(JAFFE_LIKE, subjects=None),
            "a split by subject needs to know who is on each of 210 faces, found 210 without a subject, "
            "e.g. not row 1; split at random instead, or before joining data sets",
        ),
        (
            lambda faces: subject_folds(faces, 4, seed=0),
            UNNAMED,
            "a split by subject needs to know who is on each of 210 faces, found 201 without a subject, "
            "e.g. not row 10; split at random instead, or before joining data sets",
        ),
        (
            lambda faces: subject_folds(faces, 11, seed=0),
            JAFFE_LIKE,
            "expected at least 11 people for 11 parts, found 10",
        ),
        (
            lambda faces: k_folds(faces, 4, seed=0),
            JAFFE_LIKE.take(np.array([0, 0, 0, 1, 2])),
            "expected at least 4 different images for 4 parts, found 3",
        ),
    ],
    ids=["no subjects", "some subjects", "few people", "few images"],
)
def test_sets_that_cannot_be_divided_so_are_refused(split, faces, message):
    with pytest.raises(InputError) as caught:
        split(faces)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stratified_split(CK_LIKE, 0.0, seed=0), "fraction: expected a number between 0 and 1, found 0"),
        (
            lambda: subject_disjoint_split(CK_LIKE, 1.5, seed=0),
            "fraction: expected a number between 0 and 1, found 1.5",
        ),
        (lambda: k_folds(CK_LIKE, 1, seed=0), "folds: expected at least 2, found 1"),
        (lambda: subject_folds(CK_LIKE, 0, seed=0), "folds: expected at least 2, found 0"),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == message


def test_shared_subjects_are_those_who_are_named_in_both():
    first = JAFFE_LIKE.take(np.isin(JAFFE_LIKE.subjects, ["S001", "S004", "S007"]))
    second = JAFFE_LIKE.take(np.isin(JAFFE_LIKE.subjects, ["S007", "S001", "S002"]))
    assert shared_subjects(first, second) == ("S001", "S007")
    assert shared_subjects(first, dataclasses.replace(second, subjects=None)) == ()
    blank = dataclasses.replace(second, subjects=np.full(len(second), "", dtype=np.str_))
    assert shared_subjects(blank, blank) == ()
