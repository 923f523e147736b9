"""Leaving out training pictures that teach nothing or spoil the measurement, each with its reason.

Only training pictures are left out. Published test sets stay whole, so that figures on them compare; of a picture that
is in training and in another split, the copy in training goes. What cleaning would find in the other splits is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets import FaceSet

__all__ = ["CONFLICT_RULES", "REASONS", "CleaningOptions", "CleaningReport", "Removal", "clean"]

CONFLICT_RULES = ("drop", "first")
# In this order: a picture is left out for the first reason that applies.
REASONS = ("constant", "near_constant", "in_other_split", "conflicting_duplicate", "duplicate")


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningOptions:
    """What counts as spoilt.

    Attributes:
        near_constant_std: a picture whose pixels have a smaller standard deviation shows nothing. FER-2013's darkest
            faces have 9 (of 255), its blank pictures less than 1; a bound near the faces would cost dark skin first.
        conflicts: of copies with different labels, "drop" leaves out all, "first" keeps the first in the set.
    """

    near_constant_std: float = 3.0
    conflicts: str = "drop"

    def __post_init__(self) -> None:
        if not 0.0 <= self.near_constant_std <= 128.0:
            raise UsageError(f"near_constant_std: expected 0 to 128, found {self.near_constant_std:g}")
        if self.conflicts not in CONFLICT_RULES:
            raise UsageError(f"conflicts: expected one of {', '.join(CONFLICT_RULES)}, found {self.conflicts!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A training picture that was left out.

    Attributes:
        row, source: where it came from, see FaceSet.
        label: its class.
        reason: one of REASONS.
        same_as_split, same_as_source: where the same pixels are: the copy in the other split, or for duplicates the
            first of the others; None for constant pictures.
    """

    row: int
    source: str
    label: str
    reason: str
    same_as_split: str | None = None
    same_as_source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningReport:
    """What was left out of training, and what was found.

    Attributes:
        removed: in the order of the training set.
        duplicates: training pictures that repeat an earlier one of training, with any label.
        conflicting_groups: groups of equal training pictures with more than one label.
        conflicting_pictures: pictures in these groups.
        shared: training pictures that are in each other split too.
        shared_with_other_label: of these, how many have another label there.
        found_elsewhere: for each other split, how many of its own pictures are constant, near constant or duplicates;
            they were kept.
    """

    removed: tuple[Removal, ...]
    duplicates: int
    conflicting_groups: int
    conflicting_pictures: int
    shared: dict[str, int]
    shared_with_other_label: dict[str, int]
    found_elsewhere: dict[str, dict[str, int]] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """Return how many pictures each reason removed."""
        counted = Counter(removal.reason for removal in self.removed)
        return {reason: counted[reason] for reason in REASONS}

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON types, without the list."""
        return {
            "removed": self.counts(),
            "duplicates_in_training": self.duplicates,
            "conflicting_groups_in_training": self.conflicting_groups,
            "conflicting_pictures_in_training": self.conflicting_pictures,
            "training_pictures_in_other_splits": self.shared,
            "of_these_with_another_label_there": self.shared_with_other_label,
            "found_and_kept_in_other_splits": self.found_elsewhere,
        }


def clean(
    sets: Mapping[str, FaceSet], *, training: str, options: CleaningOptions | None = None
) -> tuple[dict[str, FaceSet], CleaningReport]:
    """Return the sets with the training one cleaned, and what was left out.

    Args:
        sets: by the split's name, all with the same labels in the same order.
        training: name of the split to clean.
        options: see CleaningOptions.

    Raises:
        InputError: nothing is left, or the splits' labels differ.
    """
    options = options or CleaningOptions()
    faces = sets[training]
    others = {name: other for name, other in sets.items() if name != training}
    for name, other in others.items():
        if other.labels != faces.labels:
            raise InputError(f"{name}: expected the labels of {training} ({', '.join(faces.labels)}), found others")

    blank = _blank_reasons(faces, options)
    digests = faces.image_digests()
    elsewhere = {name: _first_positions(other.image_digests()) for name, other in others.items()}
    groups: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(digests):
        if blank[i] is None:
            groups[digest].append(i)
    conflicting = {
        digest for digest, members in groups.items() if len({int(faces.label_indices[i]) for i in members}) > 1
    }

    removals: dict[int, Removal] = {}

    def remove(i: int, reason: str, split: str | None = None, other: int | None = None) -> None:
        removals[i] = Removal(
            row=int(faces.rows[i]),
            source=faces.source(i),
            label=faces.labels[int(faces.label_indices[i])],
            reason=reason,
            same_as_split=split,
            same_as_source=sets[split].source(other) if split is not None and other is not None else None,
        )

    shared = dict.fromkeys(others, 0)
    shared_with_other_label = dict.fromkeys(others, 0)
    for i, digest in enumerate(digests):
        reason = blank[i]
        if reason is not None:
            remove(i, reason)
            continue
        found = [(name, positions[digest]) for name, positions in elsewhere.items() if digest in positions]
        for name, position in found:
            shared[name] += 1
            shared_with_other_label[name] += int(others[name].label_indices[position] != faces.label_indices[i])
        members = groups[digest]
        is_first = i == members[0]
        if found:
            remove(i, "in_other_split", *found[0])
        elif digest in conflicting and (options.conflicts == "drop" or not is_first):
            remove(i, "conflicting_duplicate", training, members[1] if is_first else members[0])
        elif not is_first:
            remove(i, "duplicate", training, members[0])

    keep = np.ones(len(faces), dtype=np.bool_)
    keep[list(removals)] = False
    if not keep.any():
        raise InputError(f"{training}: nothing is left of {len(faces)} pictures after cleaning; check the data")
    report = CleaningReport(
        removed=tuple(removals[i] for i in sorted(removals)),
        duplicates=sum(len(members) - 1 for members in groups.values()),
        conflicting_groups=len(conflicting),
        conflicting_pictures=sum(len(groups[digest]) for digest in conflicting),
        shared=shared,
        shared_with_other_label=shared_with_other_label,
        found_elsewhere={name: _count_found(other, options) for name, other in others.items()},
    )
    return {name: faces.take(keep) if name == training else other for name, other in sets.items()}, report


def _blank_reasons(faces: FaceSet, options: CleaningOptions) -> list[str | None]:
    """Return "constant" or "near_constant" for each picture of one value or nearly so, else None."""
    reasons: list[str | None] = []
    for image in faces.images:
        if image.min() == image.max():
            reasons.append("constant")
        else:
            reasons.append("near_constant" if _spread(image) < options.near_constant_std else None)
    return reasons


def _spread(image: npt.NDArray[np.uint8]) -> float:
    """Return the standard deviation of the pixels of the channel that varies most: a plain colour is constant too."""
    return float(image.reshape(-1, image.shape[-1]).std(axis=0, dtype=np.float64).max())


def _first_positions(digests: list[bytes]) -> dict[bytes, int]:
    positions: dict[bytes, int] = {}
    for i, digest in enumerate(digests):
        positions.setdefault(digest, i)
    return positions


def _count_found(faces: FaceSet, options: CleaningOptions) -> dict[str, int]:
    blank = _blank_reasons(faces, options)
    counted = Counter(blank)
    shown = [digest for digest, reason in zip(faces.image_digests(), blank, strict=True) if reason is None]
    return {
        "constant": counted["constant"],
        "near_constant": counted["near_constant"],
        "duplicate": len(shown) - len(set(shown)),
    }
