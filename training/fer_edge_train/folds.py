"""Cross validation: one network for each fold, trained without it and measured on it, then all answers together."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge.errors import UsageError
from fer_edge.files import check_folder_target, replace_folder, write_text
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.devices import clear_models
from fer_edge_train.folds_record import FOLDS_NAME, FoldMembers, folds_page, folds_record
from fer_edge_train.model_folder import RECORD_NAME, read_classifier
from fer_edge_train.plots import plot_confusion
from fer_edge_train.recipe import Recipe
from fer_edge_train.run import PreparedRun, RunInputs, divide_for, prepare_run, train_divided, unfinished_folder
from fer_edge_train.training_data import TrainingData, fold_name, skipped_text

__all__ = ["train_folds"]


def train_folds(recipe: Recipe, inputs: RunInputs, out: Path, *, force: bool, restart: bool) -> dict[str, Any]:
    """Train and measure every fold; write `out/` with their model folders, folds.json, README.md and confusion.png.

    The folds are trained one after the other in `out` + ".partial". The same call goes on in the middle of one and
    keeps those that are finished. `out` appears only when all are.

    Args:
        recipe: of one fold; the others differ in nothing else.
        inputs: what every fold reads.
        out: folder to make.
        force: replace it, where it is a folder of folds.
        restart: forget finished folds and an unfinished one instead of going on with them.

    Returns:
        What folds.json says.

    Raises:
        InputError: something cannot be read, or there are fewer images of a class, or fewer people, than folds.
        IntegrityError: a model file is not the one that its record describes.
        OutputError: `out` cannot be written.
        UsageError: `out` exists without `force`, folds there were made otherwise, or options contradict each other.
    """
    check_folder_target(out, force=force, marker=FOLDS_NAME)
    partial = unfinished_folder(out)
    if recipe.fold is None:
        raise UsageError("folds: expected a recipe of one of them, found one of a whole data set")
    n_folds = recipe.fold[1]
    first = prepare_run(recipe, inputs)
    runs = [replace(first, recipe=replace(first.recipe, fold=(i, n_folds))) for i in range(1, n_folds + 1)]
    folders = [partial / f"{out.name}_fold{i}" for i in range(1, n_folds + 1)]
    if not restart:
        _check_no_single_run(partial)
    # Every division comes before the first training: what is wrong with the last fold is told now.
    members = [_check(run, folder, restart=restart) for run, folder in zip(runs, folders, strict=True)]
    skipped = skipped_text(first.sets)
    if skipped:
        sys.stderr.write(skipped + "\n")
    if restart:
        _forget(partial, out.name)
    Checkpoints(partial).prepare()
    records = [_train(run, folder, out) for run, folder in zip(runs, folders, strict=True)]
    record = folds_record(name=out.name, records=records, members=members)
    pooled = record["pooled"]
    title = f"{out.name}: answers of {n_folds} folds"
    plot_confusion(np.array(pooled["confusion"]), tuple(pooled["recall"]), title, partial / "confusion.png")
    write_text(partial / "README.md", folds_page(record))
    write_text(partial / FOLDS_NAME, json.dumps(record, indent=1, allow_nan=False) + "\n")
    replace_folder(partial, out)
    sys.stdout.write(
        f"{out}: mean of {n_folds} folds {100 * record['top1_mean']:.2f} %, their standard deviation "
        f"{100 * record['top1_deviation']:.2f} points\n"
    )
    return record


def _check(run: PreparedRun, folder: Path, *, restart: bool) -> FoldMembers:
    """Return who is in a fold, after a look at whether it can be trained or gone on with."""
    data = divide_for(run)
    if not restart:
        _check_same_fold(folder, run, data)
    return FoldMembers.of(data.tests[_part(run)])


def _train(run: PreparedRun, folder: Path, out: Path) -> dict[str, Any]:
    """Return the record of a fold that is finished, or finish it."""
    part = _part(run)
    if folder.exists():
        sys.stderr.write(f"{part} is finished\n")
        return read_classifier(folder).record
    sys.stderr.write(f"{part}\n")
    clear_models()
    record, measured = train_divided(run, divide_for(run), folder, restart=False)
    sys.stdout.write(f"{out}: {part} {measured[part].accuracy}\n")
    return record


def _part(run: PreparedRun) -> str:
    index, count = run.recipe.fold or (1, 1)
    return fold_name(index, count)


def _check_no_single_run(partial: Path) -> None:
    if Checkpoints(partial).load_state() is not None:
        raise UsageError(
            f"{partial} holds an unfinished run without --folds; repeat its options to continue it, choose another "
            "--out, or add --restart to forget it"
        )


def _check_same_fold(folder: Path, run: PreparedRun, data: TrainingData) -> None:
    """Check that a fold in the folder, finished or not, is the one that this run would make."""
    backend = keras.backend.backend()
    if not folder.exists():
        Checkpoints(unfinished_folder(folder)).check_same_run(run.recipe, data.digest(), backend)
        return
    record = read_classifier(folder).record
    mine, its_own = json.loads(json.dumps(run.recipe.to_json())), record["recipe"]
    differing = [name for name, value in mine.items() if its_own.get(name) != value]
    if record["data"] != json.loads(json.dumps(data.description)):
        differing.append("data")
    if record["backend"] != backend:
        differing.append(f"backend ({record['backend']})")
    if differing:
        raise UsageError(
            f"{folder} holds a finished fold with another {', '.join(differing)}; "
            "repeat its options to keep it, or add --restart to forget all folds"
        )


def _forget(partial: Path, name: str) -> None:
    """Remove folds, finished or not, and an unfinished run; nothing else that lies there."""
    Checkpoints(partial).forget()
    of_folds = re.compile(re.escape(name) + r"_fold\d+(\.partial)?")
    for folder in sorted(partial.glob("*")):
        found = of_folds.fullmatch(folder.name)
        if found is None or folder.is_symlink():
            continue
        if found[1]:
            Checkpoints(folder).forget()
        elif (folder / RECORD_NAME).is_file():
            shutil.rmtree(folder)
