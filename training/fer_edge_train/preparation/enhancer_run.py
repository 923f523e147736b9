"""One training run of an enhancer from files to a model folder: data, loop, figures, record, card, picture."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fer_edge import __version__
from fer_edge.errors import InputError, OutputError
from fer_edge.files import atomic_path, check_folder_target, replace_folder, sha256_of_file, write_text
from fer_edge.machine import machine_summary, package_versions
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.datasets import FaceSet
from fer_edge_train.model_folder import RECORD_NAME
from fer_edge_train.plots import require_matplotlib
from fer_edge_train.preparation.before_after import draw_before_after
from fer_edge_train.preparation.cleaning import clean
from fer_edge_train.preparation.enhancer import ENHANCER_CODING, ENHANCER_RECORD_SCHEMA, restore
from fer_edge_train.preparation.enhancer_card import enhancer_card
from fer_edge_train.preparation.enhancer_recipe import EnhancerRecipe
from fer_edge_train.preparation.enhancer_training import held_out_haze, measure_quality, train_enhancer
from fer_edge_train.preparation.source import read_source
from fer_edge_train.typed_command import typed_command

__all__ = ["train_enhancer_to_folder"]

_SIDE_PX = 48


def train_enhancer_to_folder(
    recipe: EnhancerRecipe, *, data: str | Path, out: Path, force: bool, restart: bool, tell: Callable[[str], object]
) -> dict[str, Any]:
    """Train and write `out/` with model.keras, record.json, README.md (the card) and a picture; return the record.

    Only the training split is trained on and measured on; pictures that another split has too are left out.
    Unfinished work is kept in `out` + ".partial"; the same call continues it. `out` appears only when it is complete.

    Raises:
        InputError: data that cannot be read, or too few pictures.
        MissingExtraError: matplotlib is missing, which draws the picture.
        OutputError: `out` cannot be written.
        UsageError: `out` exists without `force` or is no model folder, or an unfinished run there has another recipe or
            other data.
    """
    check_folder_target(out, force=force, marker=RECORD_NAME)
    require_matplotlib()
    partial = out.with_name(out.name + ".partial")
    checkpoints = Checkpoints(partial)
    stated, faces, held_out, n_dropped = _read(data, recipe)
    # What was asked for can be done: only now may an unfinished run be given up.
    if restart:
        checkpoints.forget()
    checkpoints.check_same_run(recipe, faces.digest(), keras.backend.backend())

    model, curve = train_enhancer(recipe, faces, held_out, checkpoints, tell)
    hazy = held_out_haze(held_out.images, recipe)
    restored = restore(model, hazy, "channels_last")
    untouched = restore(model, held_out.images, "channels_last")
    record: dict[str, Any] = {
        "schema": ENHANCER_RECORD_SCHEMA,
        "fer_edge_version": __version__,
        "command": typed_command(),
        "recipe": recipe.to_json(),
        "model": {
            "name": out.name,
            "file": "model.keras",
            "architecture": "ffa_net",
            "groups": recipe.groups,
            "blocks": recipe.blocks,
            "filters": recipe.filters,
            "channels": recipe.channels,
            "parameters": int(model.count_params()),
            "pixel_mean": ENHANCER_CODING.mean,
            "pixel_std": ENHANCER_CODING.std,
        },
        "data": {
            **stated,
            "training_images": len(faces),
            "training_digest": faces.digest(),
            "held_out_images": len(held_out),
            "dropped_images": n_dropped,
        },
        "measured": {
            "hazy": measure_quality(hazy, held_out.images).to_json(),
            "restored": measure_quality(restored, held_out.images).to_json(),
            "clear_after_network": measure_quality(untouched, held_out.images).to_json(),
        },
        "curve": curve,
        "backend": keras.backend.backend(),
        "versions": package_versions(("keras", "tensorflow", "torch", "jax", "numpy", "opencv-python-headless")),
        "machine": machine_summary(),
    }
    _write_folder(out, model, recipe, record)
    checkpoints.forget()
    figures = record["measured"]
    sys.stdout.write(
        f"{out}: {figures['hazy']['psnr_db']} dB hazy, {figures['restored']['psnr_db']} dB restored, "
        f"{len(held_out)} held-out pictures\n"
    )
    return record


def _read(data: str | Path, recipe: EnhancerRecipe) -> tuple[dict[str, Any], FaceSet, FaceSet, int]:
    """Return what names the data, training and held-out pictures, and how many of training were left out."""
    source = read_source(data, size_px=_SIDE_PX, channels=recipe.channels)
    sets, _ = clean(source.sets, training=source.training)
    faces = sets[source.training]
    if len(faces) <= recipe.held_out:
        raise InputError(
            f"{data}: expected more than the {recipe.held_out} training pictures that are held out, "
            f"found {len(faces)} after cleaning"
        )
    # After cleaning no picture occurs twice, so any choice keeps the two parts apart.
    order = np.random.default_rng(recipe.seed).permutation(len(faces))
    held_out, rest = np.sort(order[: recipe.held_out]), np.sort(order[recipe.held_out :])
    n_dropped = len(source.sets[source.training]) - len(faces)
    return {**source.stated, "training_split": source.training}, faces.take(rest), faces.take(held_out), n_dropped


def _write_folder(out: Path, model: Any, recipe: EnhancerRecipe, record: dict[str, Any]) -> None:
    """Make the folder beside its place, then rename it in; one that was there is kept until the new one is complete."""
    staging = out.with_name(f".{out.name}.staging")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        with atomic_path(staging / "model.keras") as temporary:
            model.save(temporary)
        record["model"]["sha256"] = sha256_of_file(staging / "model.keras")
        write_text(staging / RECORD_NAME, json.dumps(record, indent=1, allow_nan=False) + "\n")
        write_text(staging / "README.md", enhancer_card(record))
        draw_before_after(
            lambda images: restore(model, images, "channels_last"), recipe.channels, staging / "before_after.png"
        )
        replace_folder(staging, out)
    except OSError as error:
        reason = str(error) if isinstance(error, OutputError) else f"cannot write {out}: {error.strerror or error}"
        raise OutputError(f"{reason}; the trained weights are kept") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
