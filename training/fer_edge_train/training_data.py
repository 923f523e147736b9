"""What a run trains on, watches and is measured on: read, joined, cleaned and divided."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_train.datasets import Dataset, FaceSet, ReadOptions, read_dataset
from fer_edge_train.datasets.ferplus import read_ferplus_votes, votes_for
from fer_edge_train.datasets.joining import join
from fer_edge_train.datasets.splits import (
    k_folds,
    shared_subjects,
    stratified_split,
    subject_disjoint_split,
    subject_folds,
)
from fer_edge_train.recipe import Recipe
from fer_edge_train.schedules import NEED_HELD_OUT
from fer_edge_train.soft_targets import label_distribution_given_votes, one_hot, smooth

__all__ = ["TrainingData", "divide", "fold_name", "read_sets", "read_training_data", "skipped_text"]

# Names of published parts, in lower case.
_TRAINING = ("training", "train")
_HELD_OUT = ("validation", "val")
_TEST = ("publictest", "test", "testing")
# Kept for a last measurement by `fer-edge evaluate`: used here only to leave its pictures out of training.
_SEALED = ("privatetest",)
_UNDIVIDED = "all"
_EXPW = "expw"
_FER2013_TRAINING = "Training"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """The parts of a run's data; no image is in two of them, unless copies of test images were asked to stay.

    Attributes:
        training: trained on.
        held_out: watched; a published validation part, else a part of what is published for training.
        tests: measured on at the end, by name; empty where the data has no test part.
        targets: float64 (len(training), classes), rows sum to 1 minus the teachers' share.
        description: what the record says of the data, as JSON types.
        skipped_text: what was left out on reading, for a person; "" where nothing was.
    """

    training: FaceSet
    held_out: FaceSet
    tests: dict[str, FaceSet]
    targets: npt.NDArray[np.float64]
    description: dict[str, Any]
    skipped_text: str

    def digest(self) -> str:
        """Return one SHA-256 digest of all that the steps depend on: images, targets and what is watched."""
        digest = hashlib.sha256()
        for part in (self.training.digest(), self.held_out.digest(), self.targets.tobytes()):
            digest.update(part.encode() if isinstance(part, str) else part)
        return digest.hexdigest()


def read_training_data(
    specs: Sequence[str], recipe: Recipe, *, votes: Path | None, skip_bad: bool, margin: float = 0.0
) -> TrainingData:
    """Read one data set or several, and divide them as the recipe says; see `read_sets` and `divide`.

    Args:
        specs: what `read_dataset` takes, e.g. "fer2013.csv.gz" or "raf-db:folder".
        recipe: size of the input, and the parts with their seed.
        votes: FER+'s csv, for FER-2013's csv alone.
        skip_bad: leave out what cannot be used instead of stopping.
        margin: of the square around ExpW's boxes.

    Raises:
        InputError: something cannot be read, a class is empty, or nothing is left to train on.
        UsageError: a spec or a part asked for does not exist.
    """
    return divide(read_sets(specs, recipe, skip_bad=skip_bad, margin=margin), specs, recipe, votes)


def read_sets(specs: Sequence[str], recipe: Recipe, *, skip_bad: bool, margin: float = 0.0) -> list[Dataset]:
    """Read data sets at the size of the recipe's input; arguments as of `read_training_data`.

    Raises:
        InputError: something cannot be read.
        UsageError: a data set has no such name, is there twice, or none has boxes for the margin.
    """
    height, width, channels = recipe.input_shape_hwc
    if height != width:
        raise UsageError(f"input_shape_hwc: expected a square, found {height} x {width}")
    options = ReadOptions(size_px=height, channels=channels, skip_bad=skip_bad, margin=margin)
    sets = [read_dataset(spec, options) for spec in specs]
    names = [each.name for each in sets]
    if len(set(names)) != len(names):
        raise UsageError(f"expected each data set once, found {', '.join(names)}")
    if margin and _EXPW not in names:
        raise UsageError(f"a crop margin widens ExpW's boxes; {', '.join(names)} has none, leave --crop-margin away")
    return sets


def skipped_text(sets: Sequence[Dataset]) -> str:
    """Return lines for a person on what was left out on reading, "" where nothing was."""
    return "\n".join(text for each in sets if (text := each.skipped.to_text()))


def divide(sets: Sequence[Dataset], specs: Sequence[str], recipe: Recipe, votes: Path | None) -> TrainingData:
    """Divide data sets as the recipe says.

    A set that its authors divided keeps that division. From an undivided one `recipe.test_share` becomes the test part.
    With `recipe.fold` a fold of what is left is a test part too. FER-2013's PrivateTest is not measured on, but its
    pictures are left out of training like those of the test parts. `recipe.keep_test_copies` leaves the latter in, and
    makes "NAME without copies", where some are left, of each test part a test part too.

    Args:
        sets: as `read_sets` returns them.
        specs: what they were read from.
        recipe: the parts with their seed.
        votes: FER+'s csv, for FER-2013's csv alone.

    Raises:
        InputError: the votes cannot be read, a class is empty, or nothing is left to train on.
        UsageError: a part asked for does not exist.
    """
    name = " + ".join(each.title for each in sets)
    parts = {each.name: _divide(each, recipe) for each in sets}
    training = _joined({set_name: each.training for set_name, each in parts.items()})
    tests = _named({set_name: each.tests for set_name, each in parts.items()})
    sealed = _named({set_name: each.sealed for set_name, each in parts.items()})
    published = {set_name: each.held_out for set_name, each in parts.items() if each.held_out is not None}
    if recipe.fold is not None:
        training, fold = _fold(training, recipe)
        tests = {**fold, **tests}
    if recipe.by_subject:
        _refuse_shared_subjects(training, tests)

    n_all = len(training)
    training = training.without_constant_images()
    tested = sealed if recipe.keep_test_copies else {**tests, **sealed}
    for other in (*tested.values(), *published.values()):
        training = training.without_images_of(other)
    n_dropped = n_all - len(training)
    if not len(training):
        raise InputError(
            f"{name}: expected training images, found {n_all} that are one constant value or tested on too"
        )
    training.require_every_class(name)
    held_out = training.take(np.zeros(0, dtype=np.int64))
    if published:
        held_out = _joined(published)
    elif recipe.validation_fraction:
        split = subject_disjoint_split if recipe.by_subject else stratified_split
        training, held_out = split(training, recipe.validation_fraction, seed=recipe.split_seed)
        # Two pictures may become one at this size.
        training = training.without_images_of(held_out)
    training.require_every_class(name)
    _check_held_out(held_out, recipe)
    seen = {}
    if recipe.keep_test_copies:
        # What is held out steers the run: it has been seen too.
        unseen = {
            test_name: faces.without_images_of(training).without_images_of(held_out)
            for test_name, faces in tests.items()
        }
        seen = {test_name: n for test_name, faces in tests.items() if (n := len(faces) - len(unseen[test_name]))}
        tests |= {f"{test_name} without copies": unseen[test_name] for test_name in seen if len(unseen[test_name])}

    others = [*tested, *(["validation"] if published else [])]
    because = "constant value" + (f", or the same pixels as an image of {' or '.join(others)}" if others else "")
    description = {
        "name": name,
        "sets": [_set_json(each, spec) for each, spec in zip(sets, specs, strict=True)],
        "votes_sha256": sha256_of_file(votes) if votes is not None else None,
        "training_images": len(training),
        "training_digest": training.digest(),
        "held_out_images": len(held_out),
        "held_out_digest": held_out.digest(),
        "divided_by": "person" if recipe.by_subject else "class",
        "test_images": {test_name: len(faces) for test_name, faces in tests.items()},
        "test_digests": {test_name: faces.digest() for test_name, faces in tests.items()},
        "dropped_images": n_dropped,
        "dropped_because": because,
        "test_copies_seen": seen,
    }
    return TrainingData(
        training=training,
        held_out=held_out,
        tests=tests,
        targets=_targets(training, votes, recipe),
        description=description,
        skipped_text=skipped_text(sets),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    """One data set, divided."""

    training: FaceSet
    held_out: FaceSet | None
    tests: dict[str, FaceSet]
    sealed: dict[str, FaceSet]


def _divide(data: Dataset, recipe: Recipe) -> _Parts:
    """Return the published parts of a set, or draw a test part from an undivided one."""
    if set(data.splits) == {_UNDIVIDED}:
        if not recipe.test_share:
            return _Parts(training=data.splits[_UNDIVIDED], held_out=None, tests={}, sealed={})
        split = subject_disjoint_split if recipe.by_subject else stratified_split
        training, test = split(data.splits[_UNDIVIDED], recipe.test_share, seed=recipe.split_seed)
        return _Parts(training=training, held_out=None, tests={"test": test}, sealed={})
    kinds = {"training": _TRAINING, "held out": _HELD_OUT, "test": _TEST, "sealed": _SEALED}
    found = {kind: [name for name in data.splits if name.lower() in known] for kind, known in kinds.items()}
    unknown = sorted(set(data.splits) - {name for names in found.values() for name in names})
    if unknown or len(found["training"]) != 1 or len(found["held out"]) > 1:
        raise InputError(
            f"{data.title}: expected one part named {' or '.join(_TRAINING)}, at most one named "
            f"{' or '.join(_HELD_OUT)}, and {' or '.join(_TEST)}, found {', '.join(data.splits)}"
        )
    held_out = found["held out"]
    return _Parts(
        training=data.splits[found["training"][0]],
        held_out=data.splits[held_out[0]] if held_out else None,
        tests={name: data.splits[name] for name in found["test"]},
        sealed={name: data.splits[name] for name in found["sealed"]},
    )


def _fold(faces: FaceSet, recipe: Recipe) -> tuple[FaceSet, dict[str, FaceSet]]:
    index, count = recipe.fold or (1, 1)
    few = [f"{n} of {label}" for label, n in zip(faces.labels, faces.class_counts().tolist(), strict=True) if n < count]
    if few:
        raise InputError(
            f"{count} folds: expected at least {count} training images of each class, found {', '.join(few)}; "
            "ask for fewer folds, or add a data set"
        )
    folds = (subject_folds if recipe.by_subject else k_folds)(faces, count, seed=recipe.split_seed)
    return faces.take(folds != index - 1), {fold_name(index, count): faces.take(folds == index - 1)}


def fold_name(index: int, count: int) -> str:
    """Return what the part of fold `index` (from 1) of `count` is called among the test parts."""
    return f"fold {index} of {count}"


def _named(parts: dict[str, dict[str, FaceSet]]) -> dict[str, FaceSet]:
    """Return the parts of all sets by name; the set's name is in front where there are several."""
    several = len(parts) > 1
    return {
        f"{set_name} {name}" if several else name: faces
        for set_name, each in parts.items()
        for name, faces in each.items()
    }


def _refuse_shared_subjects(training: FaceSet, tests: dict[str, FaceSet]) -> None:
    for name, test in tests.items():
        both = shared_subjects(training, test)
        if both:
            raise UsageError(
                f"expected nobody in both training and {name}, found {len(both)}, e.g. {both[0]}: the published "
                "division is not by person; leave --by-subject away"
            )


def _check_held_out(held_out: FaceSet, recipe: Recipe) -> None:
    if not len(held_out) and (recipe.patience or recipe.schedule in NEED_HELD_OUT):
        why = f"--patience {recipe.patience}" if recipe.patience else f"--schedule {recipe.schedule}"
        raise UsageError(
            f"{why} needs held-out images, found none in a part of {recipe.validation_fraction:g}; "
            "raise --validation-fraction"
        )


def _joined(parts: dict[str, FaceSet]) -> FaceSet:
    return next(iter(parts.values())) if len(parts) == 1 else join(parts)


def _set_json(data: Dataset, spec: str) -> dict[str, Any]:
    path = Path(spec.removeprefix(f"{data.name}:"))
    return {
        "name": data.name,
        "title": data.title,
        "licence": data.licence,
        "file_sha256": sha256_of_file(path) if path.is_file() else None,
        "skipped": data.skipped.to_json(),
    }


def _targets(faces: FaceSet, votes_path: Path | None, recipe: Recipe) -> npt.NDArray[np.float64]:
    """Return the targets without the teachers' share: labels, mixed with what the votes say, then smoothed."""
    n_classes = len(faces.labels)
    targets = one_hot(faces.label_indices, n_classes)
    if recipe.vote_share and votes_path is not None:
        votes = votes_for(faces, read_ferplus_votes(votes_path), str(votes_path), usage=_FER2013_TRAINING)
        expected = label_distribution_given_votes(votes, faces.label_indices, n_classes)
        # Votes and teachers replace parts of the labels: the three shares sum to 1.
        vote_share = recipe.vote_share / (1.0 - recipe.teacher_share) if recipe.teacher_share < 1.0 else 0.0
        targets = (1.0 - vote_share) * targets + vote_share * expected
    return (1.0 - recipe.teacher_share) * smooth(targets, recipe.label_smoothing)
