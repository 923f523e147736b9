"""One training run from data sets to a model folder: data, loop, evaluation, record, card."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge.errors import OutputError, UsageError
from fer_edge.files import atomic_path, check_folder_target, replace_folder, sha256_of_file, write_text
from fer_edge_train import zoo
from fer_edge_train.card import model_card
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.datasets import Dataset, FaceSet
from fer_edge_train.evaluation import Evaluation
from fer_edge_train.kinship import check_held_out, check_kinship
from fer_edge_train.model_folder import RECORD_NAME
from fer_edge_train.plots import plot_curve
from fer_edge_train.progress import make_progress
from fer_edge_train.recall_floors import check_recall_floors, reach_recall_floors
from fer_edge_train.recipe import Recipe
from fer_edge_train.start import Start, pretrained_weights, read_start, start_weights
from fer_edge_train.teachers import Teacher, read_teachers
from fer_edge_train.training import TrainingResult, train, untrained
from fer_edge_train.training_data import TrainingData, divide, read_sets
from fer_edge_train.training_record import measure, training_record

__all__ = [
    "PreparedRun",
    "RunInputs",
    "divide_for",
    "prepare_run",
    "train_divided",
    "train_to_folder",
    "unfinished_folder",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """The files a run reads.

    Attributes:
        data: what `read_dataset` takes, one or several.
        votes: FER+'s csv.
        start_from: model folder whose weights are the initial ones.
        pretrained: "imagenet" or the path of a file of ImageNet weights.
        teachers: model folders to learn from.
        skip_bad: leave out faces that cannot be used instead of stopping at the first.
        margin: of the square around ExpW's boxes.
    """

    data: Sequence[str]
    votes: Path | None = None
    start_from: Path | None = None
    pretrained: str | None = None
    teachers: Sequence[Path] = field(default=())
    skip_bad: bool = False
    margin: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedRun:
    """A run whose inputs are read.

    Attributes:
        recipe: with the digests of the models that the run builds on.
        inputs: where these and the data came from.
        start: initial weights of another run.
        teachers: models to learn from.
        sets: the data, not divided yet.
    """

    recipe: Recipe
    inputs: RunInputs
    start: Start | None
    teachers: Sequence[Teacher]
    sets: Sequence[Dataset]


def train_to_folder(recipe: Recipe, inputs: RunInputs, out: Path, *, force: bool, restart: bool) -> dict[str, Any]:
    """Train and write `out/` with model.keras, record.json, README.md (the card) and curve.png; return the record.

    Unfinished work is kept in `out` + ".partial"; the same call continues it. `out` appears only when it is complete.

    Raises:
        InputError: data, a start or a teacher that cannot be read.
        IntegrityError: a start's or teacher's model file is not the one that its record describes.
        OutputError: `out` cannot be written.
        UsageError: `out` exists without `force` or is no model folder, an unfinished run there has another recipe or
            other data, or options contradict each other.
    """
    check_folder_target(out, force=force, marker=RECORD_NAME)
    run = prepare_run(recipe, inputs)
    data = divide_for(run)
    if data.skipped_text:
        sys.stderr.write(data.skipped_text + "\n")
    # The parts are copies: the sets need no memory while they are trained on.
    record, measured = train_divided(replace(run, sets=()), data, out, restart=restart)
    for name, figures in measured.items():
        sys.stdout.write(f"{out}: {name} {figures.accuracy}\n")
    return record


def prepare_run(recipe: Recipe, inputs: RunInputs) -> PreparedRun:
    """Check a run's options against each other, and read what it builds on and its data.

    Raises:
        InputError: data, a start or a teacher that cannot be read.
        IntegrityError: a start's or teacher's model file is not the one that its record describes.
        UsageError: options contradict each other or name what does not exist.
    """
    zoo.check_name(recipe.architecture)
    _check_inputs(recipe, inputs)
    start = read_start(inputs.start_from, recipe) if inputs.start_from is not None else None
    if start is not None and not (recipe.epochs or recipe.recall_floors or start.is_factored_by(recipe)):
        raise _nothing_to_do(recipe)
    teachers = read_teachers(inputs.teachers, recipe)
    return PreparedRun(
        recipe=replace(
            recipe,
            start_from_sha256=start.sha256 if start is not None else None,
            pretrained=_pretrained_name(inputs.pretrained),
            teacher_sha256s=tuple(teacher.sha256 for teacher in teachers),
        ),
        inputs=inputs,
        start=start,
        teachers=teachers,
        sets=read_sets(inputs.data, recipe, skip_bad=inputs.skip_bad, margin=inputs.margin),
    )


def divide_for(run: PreparedRun) -> TrainingData:
    """Divide a run's data as its recipe says, and check that what it builds on fits this division.

    Raises:
        InputError: a class is empty, or nothing is left to train on.
        UsageError: a start or a teacher may have seen what this run is measured on, or a recall cannot be asked for.
    """
    data = divide(run.sets, run.inputs.data, run.recipe, run.inputs.votes)
    for model in (run.start, *run.teachers):
        if model is not None:
            check_kinship(model.history, data)
    floors = dict(run.recipe.recall_floors)
    check_recall_floors(floors, data.held_out)
    if floors and run.start is not None:
        check_held_out(run.start.history, data)
    return data


def train_divided(
    run: PreparedRun, data: TrainingData, out: Path, *, restart: bool
) -> tuple[dict[str, Any], dict[str, Evaluation]]:
    """Do a run on its divided data, or what is left of it, and write `out/`; see `train_to_folder`.

    Returns:
        The record, and the figures of each test part.

    Raises:
        OutputError: `out` cannot be written.
        UsageError: an unfinished run there has another recipe or other data.
    """
    recipe, start, teachers = run.recipe, run.start, run.teachers
    floors = dict(recipe.recall_floors)
    checkpoints = Checkpoints(unfinished_folder(out))
    if recipe.epochs:
        digest, backend = data.digest(), keras.backend.backend()
        if not restart:
            checkpoints.check_same_run(recipe, digest, backend)
        # An unfinished run has its own weights.
        continues = not restart and checkpoints.load_state() is not None
        weights = None if continues else _initial_weights(recipe, run.inputs, start, data.training)
        # What was asked for can be done: only now may an unfinished run be given up.
        if restart:
            checkpoints.forget()
        checkpoints.prepare()
        result = _train(recipe, data, checkpoints, weights, teachers)
    else:
        weights = _initial_weights(recipe, run.inputs, start, data.training)
        result = untrained(recipe, len(data.training.labels), weights)
    shifted = reach_recall_floors(result.model, data.held_out, floors) if floors else None
    measured = {name: measure(result.model, faces) for name, faces in data.tests.items()}
    record = training_record(
        name=out.name,
        recipe=recipe,
        data=data,
        result=result,
        shifted=shifted,
        measured=measured,
        start=start,
        teachers=teachers,
    )
    _write_folder(out, result.model, record)
    if recipe.epochs:
        checkpoints.forget()
    return record, measured


def unfinished_folder(out: Path) -> Path:
    """Return where the state of what shall become `out` lies until it is complete."""
    return out.with_name(out.name + ".partial")


def _check_inputs(recipe: Recipe, inputs: RunInputs) -> None:
    if not recipe.epochs and inputs.start_from is None:
        raise _nothing_to_do(recipe)
    if not recipe.epochs and (inputs.votes is not None or inputs.teachers):
        raise UsageError("--epochs 0 trains nothing: leave --votes and --teacher away")
    if recipe.views and not inputs.teachers:
        raise UsageError("--views saves teachers work and costs variety; leave it away, or give a --teacher")
    if recipe.vote_share and inputs.votes is None:
        raise UsageError("a vote share above 0 needs the votes: give --votes fer2013new.csv")
    if inputs.votes is not None and not recipe.vote_share:
        raise UsageError(f"a vote share of 0 leaves {inputs.votes} unused; leave --votes away or raise --vote-share")
    if bool(inputs.teachers) != bool(recipe.teacher_share):
        raise UsageError("--teacher and a --teacher-share above 0 go together; give both or neither")
    if inputs.start_from is not None and inputs.pretrained is not None:
        raise UsageError("--start-from and --pretrained both give the initial weights; choose one")


def _nothing_to_do(recipe: Recipe) -> UsageError:
    whole = zoo.factored_from(recipe.architecture)
    other = f", or a {whole} to factor" if whole is not None else ""
    return UsageError(f"--epochs 0 trains nothing: expected a --start-from whose decision --recall shifts{other}")


def _pretrained_name(source: str | None) -> str | None:
    """Return what the recipe says of ImageNet weights: where they come from, or which file."""
    if source is None or not Path(source).is_file():
        return source
    return sha256_of_file(Path(source))


def _initial_weights(
    recipe: Recipe, inputs: RunInputs, start: Start | None, faces: FaceSet
) -> Sequence[npt.NDArray[np.float32]] | None:
    if start is not None:
        return start_weights(start, recipe, faces.images)
    if inputs.pretrained is None:
        return None
    keras.utils.set_random_seed(recipe.seed)
    return pretrained_weights(recipe, len(faces.labels), inputs.pretrained)


def _train(
    recipe: Recipe,
    data: TrainingData,
    checkpoints: Checkpoints,
    weights: Sequence[npt.NDArray[np.float32]] | None,
    teachers: Sequence[Teacher],
) -> TrainingResult:
    progress = make_progress(sys.stderr)
    try:
        with progress:
            return train(
                recipe,
                data.training,
                data.targets,
                data.digest(),
                data.held_out,
                checkpoints,
                progress,
                initial_weights=weights,
                teachers=[teacher.model for teacher in teachers],
            )
    except KeyboardInterrupt:
        saved = checkpoints.load_state()
        done = saved.epochs_done if saved else 0
        sys.stderr.write(
            f"fer-edge: interrupted; {done} of {recipe.epochs} epochs are kept in {checkpoints.folder}, "
            "the same command continues\n"
        )
        raise


def _write_folder(out: Path, model: Any, record: dict[str, Any]) -> None:
    """Make the folder beside its place, then rename it in; one that was there is kept until the new one is complete."""
    staging = out.with_name(f".{out.name}.staging")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        with atomic_path(staging / "model.keras") as temporary:
            model.save(temporary)
        record["model"]["sha256"] = sha256_of_file(staging / "model.keras")
        write_text(staging / "record.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
        write_text(staging / "README.md", model_card(record))
        if record["curve"]:
            plot_curve(record["curve"], staging / "curve.png")
        replace_folder(staging, out)
    except OutputError as error:
        raise OutputError(f"{error}; the trained weights are kept") from error
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; the trained weights are kept") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
