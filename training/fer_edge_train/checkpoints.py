"""The state of an unfinished run on disk: at any moment it can be killed and continued.

A folder holds `state.json` and the checkpoint file it names. The checkpoint is complete before the state that names it
replaces the old one, so that whatever moment the process ends at, `state.json` names a whole checkpoint.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fer_edge.errors import InputError, OutputError, UsageError
from fer_edge.files import atomic_path, write_text
from fer_edge_train.trainer import Arrays, Trainer

__all__ = ["Checkpoints", "RunState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run has done.

    Attributes:
        epochs_done: whole passes that the checkpoint holds.
        recipe: JSON of the recipe.
        data_digest: SHA-256 of what the steps depend on besides the recipe.
        backend: of Keras; a checkpoint of one is nothing to another.
        curve: one dictionary for each epoch done.
    """

    epochs_done: int
    recipe: dict[str, Any]
    data_digest: str
    backend: str
    curve: list[dict[str, float]]

    def __post_init__(self) -> None:
        if type(self.epochs_done) is not int or self.epochs_done != len(self.curve):
            raise ValueError(f"expected a curve of {self.epochs_done!r} epochs, found {len(self.curve)}")


class ComparableRecipe(Protocol):
    """What a run is made by."""

    def differences(self, other_json: dict[str, Any]) -> list[str]:
        """Name the fields in which a recipe's JSON differs from this one."""
        ...


class Checkpoints:
    """Writes and reads a run's state in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state_path = folder / "state.json"

    def save(self, arrays: Arrays, state: RunState) -> None:
        """Store the trainer's arrays, then the state that names them, then forget the ones before."""
        self.prepare()
        path = self._arrays_path(state.epochs_done)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type] # numpy's stubs take the names for its own arguments
        content = {
            "epochs_done": state.epochs_done,
            "recipe": state.recipe,
            "data_digest": state.data_digest,
            "backend": state.backend,
            "curve": state.curve,
        }
        write_text(self._state_path, json.dumps(content, indent=1))
        for old in self._arrays_files():
            if old != path:
                old.unlink()

    def prepare(self) -> None:
        """Make the folder, before work that would be lost if it could not be made.

        Raises:
            OutputError: it cannot be made or written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.folder}: {error.strerror or error}; expected a folder for the unfinished run there"
            ) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write {self.folder}: no permission to create files in it")

    def load_state(self) -> RunState | None:
        """Return the state of the run in the folder, or None where there is none.

        Raises:
            InputError: the folder's state cannot be read.
        """
        if not self._state_path.exists():
            return None
        try:
            content = json.loads(self._state_path.read_text(encoding="utf-8"))
            return RunState(**content)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"cannot read {self._state_path}: {error}; expected a run's state; remove {self.folder} to start anew"
            ) from error

    def check_same_run(self, recipe: ComparableRecipe, data_digest: str, backend: str) -> None:
        """Check that an unfinished run in the folder, where there is one, is the run that shall go on.

        Raises:
            InputError: the folder's state cannot be read.
            UsageError: it has another recipe, other data or another backend; the message names what differs.
        """
        state = self.load_state()
        if state is None:
            return
        if state.backend != backend:
            raise UsageError(
                f"{self.folder} holds an unfinished run on {state.backend}, this is {backend}; "
                f"set KERAS_BACKEND={state.backend} to continue it, or add --restart to forget it"
            )
        differing = recipe.differences(state.recipe)
        if data_digest != state.data_digest:
            differing.append("data")
        if differing:
            raise UsageError(
                f"{self.folder} holds an unfinished run with another {', '.join(differing)}; "
                "repeat its options to continue it, or add --restart to forget it"
            )

    def restore(self, trainer: Trainer, state: RunState) -> Arrays:
        """Give a trainer the arrays of a state; return the best epoch's weights, which it does not know.

        Raises:
            InputError: the checkpoint is missing, damaged, or of another network.
        """
        path = self._arrays_path(state.epochs_done)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            trainer.restore(arrays)
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"cannot continue from the checkpoint {path}: {reason}; remove {self.folder} to start anew"
            ) from error
        return {name: value for name, value in arrays.items() if name.startswith("best/")}

    def forget(self) -> None:
        """Remove the run's state and checkpoints, and the folder where nothing else is in it."""
        # The state goes first: ended at any moment, what is left is no run rather than a broken one.
        self._state_path.unlink(missing_ok=True)
        for path in (*self._arrays_files(), *self.folder.glob(".state.json.*.part.json")):
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _arrays_files(self) -> list[Path]:
        """Return the checkpoints, and what a killed process left half-written of one."""
        return [path for pattern in ("epoch-*.npz", ".epoch-*.part.npz") for path in self.folder.glob(pattern)]

    def _arrays_path(self, epochs_done: int) -> Path:
        return self.folder / f"epoch-{epochs_done:05d}.npz"
