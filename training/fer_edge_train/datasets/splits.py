"""Dividing a set: at random within each class, as the papers do, and with nobody on both sides.

CK+ and JAFFE have several nearly equal pictures of each person. A random split shows the test's people in training, and
the figure that comes out is of faces already seen: give the subject-disjoint one beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets.arrays import FaceSet

__all__ = [
    "k_folds",
    "shared_subjects",
    "stratified_split",
    "subject_disjoint_split",
    "subject_folds",
]

Indices = npt.NDArray[np.int64]


def stratified_split(faces: FaceSet, fraction: float, *, seed: int) -> tuple[FaceSet, FaceSet]:
    """Divide into two parts, the second with `fraction` of each class; identical images stay on one side.

    Raises:
        UsageError: `fraction` is not between 0 and 1.
    """
    _check_fraction(fraction)
    return faces.split(fraction, seed=seed)


def subject_disjoint_split(faces: FaceSet, fraction: float, *, seed: int) -> tuple[FaceSet, FaceSet]:
    """Divide into two parts, the second with about `fraction` of each class, nobody and no image in both.

    Raises:
        InputError: a face names no subject, or there are fewer than two people.
        UsageError: `fraction` is not between 0 and 1.
    """
    _check_fraction(fraction)
    in_second = _assign(faces, _subject_groups(faces), (1.0 - fraction, fraction), seed, "people") == 1
    return faces.take(~in_second), faces.take(in_second)


def k_folds(faces: FaceSet, k: int, *, seed: int) -> Indices:
    """Return the fold of each face, int64 (n,), 0 to k - 1, each with an equal share of each class.

    Fold i is validated on `faces.take(folds == i)` after training on `faces.take(folds != i)`. Identical images are in
    one fold.

    Raises:
        InputError: there are fewer different images than folds.
        UsageError: `k` is less than 2.
    """
    _check_k(k)
    return _assign(faces, _image_groups(faces), (1.0 / k,) * k, seed, "different images")


def subject_folds(faces: FaceSet, k: int, *, seed: int) -> Indices:
    """Return the fold of each face as `k_folds` does, with each person in one fold.

    Raises:
        InputError: a face names no subject, or there are fewer people than folds.
        UsageError: `k` is less than 2.
    """
    _check_k(k)
    return _assign(faces, _subject_groups(faces), (1.0 / k,) * k, seed, "people")


def shared_subjects(first: FaceSet, second: FaceSet) -> tuple[str, ...]:
    """Return the people who are in both sets, sorted; those who are not named are not counted."""
    if first.subjects is None or second.subjects is None:
        return ()
    both: set[str] = set(first.subjects.tolist()) & set(second.subjects.tolist())
    return tuple(sorted(both - {""}))


def _check_fraction(fraction: float) -> None:
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"fraction: expected a number between 0 and 1, found {fraction:g}")


def _check_k(k: int) -> None:
    if k < 2:
        raise UsageError(f"folds: expected at least 2, found {k}")


def _image_groups(faces: FaceSet) -> Indices:
    """Return a number for each face, equal where the pixels are."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in faces.picture_names()], dtype=np.int64)


def _subject_groups(faces: FaceSet) -> Indices:
    """Return a number for each face, equal where they must not be parted: one person, or people who share an image."""
    subjects = faces.subjects
    unknown = np.ones(len(faces), dtype=np.bool_) if subjects is None else subjects == ""
    if subjects is None or unknown.any():
        where = f", e.g. not {faces.source(int(np.argmax(unknown)))}" if len(faces) else ""
        raise InputError(
            f"a split by subject needs to know who is on each of {len(faces)} faces, found {int(unknown.sum())} "
            f"without a subject{where}; split at random instead, or before joining data sets"
        )
    parent: dict[str, str] = {}

    def root(subject: str) -> str:
        while parent.setdefault(subject, subject) != subject:
            subject = parent[subject]
        return subject

    first_with: dict[str, str] = {}
    for name, subject in zip(faces.picture_names(), subjects.tolist(), strict=True):
        parent[root(subject)] = root(first_with.setdefault(name, subject))
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(root(s), len(numbers)) for s in subjects.tolist()], dtype=np.int64)


def _assign(faces: FaceSet, groups: Indices, shares: Sequence[float], seed: int, what: str) -> Indices:
    """Return the part of each face: groups stay whole, and each part gets its share of each class as nearly as it can.

    Groups are dealt from the largest to the smallest, equal ones in an order drawn with `seed`, each to the part where
    it adds least to the sum over parts and classes of count^2 / (share * class size): that sum is least when every part
    has its share of every class.
    """
    n_groups = int(groups.max(initial=-1)) + 1
    if n_groups < len(shares):
        raise InputError(f"expected at least {len(shares)} {what} for {len(shares)} parts, found {n_groups}")
    counts = np.zeros((n_groups, len(faces.labels)))
    np.add.at(counts, (groups, faces.label_indices), 1.0)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n_groups)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    scale = 1.0 / np.outer(shares, np.maximum(counts.sum(axis=0), 1.0))
    filled = np.zeros((len(shares), len(faces.labels)))
    part_of = np.empty(n_groups, dtype=np.int64)
    for position, group in enumerate(order):
        added = ((2.0 * filled + counts[group]) * counts[group] * scale).sum(axis=1)
        empty = ~filled.any(axis=1)
        # The last groups go to parts that would stay empty.
        if n_groups - position <= int(empty.sum()):
            added[~empty] = np.inf
        part = int(np.argmin(added))
        filled[part] += counts[group]
        part_of[group] = part
    assigned: Indices = part_of[groups]
    return assigned
