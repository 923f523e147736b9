"""What a run trains on, watches and is measured on: read, joined, cleaned and divided."""

from __future__ import annotations

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
from fer_edge_train.datasets.splits import k_folds, stratified_split, subject_disjoint_split, subject_folds
from fer_edge_train.recipe import Recipe
from fer_edge_train.soft_targets import label_distribution_given_votes, one_hot, smooth

__all__ = ["TrainingData", "read_training_data"]

_TRAINING = ("Training", "train")
# PrivateTest is nobody's to look at while training: `fer-edge evaluate` measures on it.
_TEST = ("PublicTest", "test")
_UNDIVIDED = "all"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """The parts of a run's data; no image is in two of them.

    Attributes:
        training: trained on.
        held_out: watched; part of what the authors published for training.
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


def read_training_data(
    specs: Sequence[str], recipe: Recipe, *, votes: Path | None, skip_bad: bool, margin: float = 0.0
) -> TrainingData:
    """Read one data set or several, and divide them as the recipe says.

    A set that its authors divided keeps that division. From an undivided one `recipe.test_share` becomes the test part.
    With `recipe.fold` there is no other test part than the fold.

    Args:
        specs: what `read_dataset` takes, e.g. "fer2013.csv.gz" or "raf-db:folder".
        recipe: size of the input, seed, and the parts.
        votes: FER+'s csv, for FER-2013's csv alone.
        skip_bad: leave out what cannot be used instead of stopping.
        margin: of the square around ExpW's boxes.

    Raises:
        InputError: something cannot be read, a class is empty, or nothing is left to train on.
        UsageError: a spec or a part asked for does not exist.
    """
    height, width, channels = recipe.input_shape_hwc
    if height != width:
        raise UsageError(f"input_shape_hwc: expected a square, found {height} x {width}")
    options = ReadOptions(size_px=height, channels=channels, skip_bad=skip_bad, margin=margin)
    sets = [read_dataset(spec, options) for spec in specs]
    name = " + ".join(each.title for each in sets)
    divided = [_divide(each, recipe) for each in sets]
    names = [each.name for each in sets]
    if len(set(names)) != len(names):
        raise UsageError(f"expected each data set once, found {', '.join(names)}")
    training = _joined({each.name: faces for each, (faces, _) in zip(sets, divided, strict=True)})
    tests = {
        test_name if len(sets) == 1 else f"{each.name} {test_name}": faces
        for each, (_, parts) in zip(sets, divided, strict=True)
        for test_name, faces in parts.items()
    }
    if recipe.fold is not None:
        training, tests = _fold(training, recipe)

    n_all = len(training)
    training = training.without_constant_images()
    for test in tests.values():
        training = training.without_images_of(test)
    n_dropped = n_all - len(training)
    if not len(training):
        raise InputError(
            f"{name}: expected training images, found {n_all} that are one constant value or tested on too"
        )
    training.require_every_class(name)
    held_out = training.take(np.zeros(0, dtype=np.int64))
    if recipe.validation_fraction:
        # FaceSet.split takes the very images that earlier records name.
        split = subject_disjoint_split if recipe.by_subject else stratified_split
        training, held_out = split(training, recipe.validation_fraction, seed=recipe.seed)

    because = "constant value" + (f", or the same pixels as an image of {' or '.join(tests)}" if tests else "")
    description = {
        "name": name,
        "sets": [_set_json(each, spec) for each, spec in zip(sets, specs, strict=True)],
        "votes_sha256": sha256_of_file(votes) if votes is not None else None,
        "training_images": len(training),
        "training_digest": training.digest(),
        "held_out_images": len(held_out),
        "divided_by": "person" if recipe.by_subject else "class",
        "test_images": {test_name: len(faces) for test_name, faces in tests.items()},
        "dropped_images": n_dropped,
        "dropped_because": because,
    }
    return TrainingData(
        training=training,
        held_out=held_out,
        tests=tests,
        targets=_targets(training, votes, recipe),
        description=description,
        skipped_text="\n".join(text for each in sets if (text := each.skipped.to_text())),
    )


def _divide(data: Dataset, recipe: Recipe) -> tuple[FaceSet, dict[str, FaceSet]]:
    """Return the training part and the test parts of one set."""
    if _UNDIVIDED in data.splits:
        faces = data.splits[_UNDIVIDED]
        if recipe.fold is not None:
            return faces, {}
        split = subject_disjoint_split if recipe.by_subject else stratified_split
        training, test = split(faces, recipe.test_share, seed=recipe.seed)
        return training, {"test": test}
    found = [name for name in _TRAINING if name in data.splits]
    if not found:
        raise InputError(
            f"{data.title}: expected a part named {' or '.join(_TRAINING)}, found {', '.join(data.splits)}"
        )
    tests = {} if recipe.fold is not None else {name: data.splits[name] for name in _TEST if name in data.splits}
    return data.splits[found[0]], tests


def _fold(faces: FaceSet, recipe: Recipe) -> tuple[FaceSet, dict[str, FaceSet]]:
    index, count = recipe.fold or (1, 1)
    folds = (subject_folds if recipe.by_subject else k_folds)(faces, count, seed=recipe.seed)
    return faces.take(folds != index - 1), {f"fold {index} of {count}": faces.take(folds == index - 1)}


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
        votes = votes_for(faces, read_ferplus_votes(votes_path), str(votes_path))
        expected = label_distribution_given_votes(votes, faces.label_indices, n_classes)
        # Votes and teachers replace parts of the labels: the three shares sum to 1.
        vote_share = recipe.vote_share / (1.0 - recipe.teacher_share) if recipe.teacher_share < 1.0 else 0.0
        targets = (1.0 - vote_share) * targets + vote_share * expected
    return (1.0 - recipe.teacher_share) * smooth(targets, recipe.label_smoothing)
