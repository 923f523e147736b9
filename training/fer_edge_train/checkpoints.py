"""The state of an unfinished run on disk: at any moment it can be killed and continued.

A folder holds `state.json` and the checkpoint file it names. The checkpoint is complete before the state that names it
replaces the old one, so that whatever moment the process ends at, `state.json` names a whole checkpoint.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError
from fer_edge.files import atomic_path, write_text

__all__ = ["Checkpoints", "RunState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run has done.

    Attributes:
        epochs_done: whole passes that the checkpoint holds.
        recipe: JSON of the recipe.
        data_digest: SHA-256 of the training images and labels.
        curve: one dictionary for each epoch done.
    """

    epochs_done: int
    recipe: dict[str, Any]
    data_digest: str
    curve: list[dict[str, float]]

    def __post_init__(self) -> None:
        if type(self.epochs_done) is not int or self.epochs_done != len(self.curve):
            raise ValueError(f"expected a curve of {self.epochs_done!r} epochs, found {len(self.curve)}")


class Checkpoints:
    """Writes and reads a run's state in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state_path = folder / "state.json"

    def save(self, model: Any, state: RunState) -> None:
        """Store the model with its optimizer, then the state that names it, then forget the one before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._model_path(state.epochs_done)
        with atomic_path(path) as temporary:
            model.save(temporary)
        content = {
            "epochs_done": state.epochs_done,
            "recipe": state.recipe,
            "data_digest": state.data_digest,
            "curve": state.curve,
        }
        write_text(self._state_path, json.dumps(content, indent=1))
        for old in self.folder.glob("epoch-*.keras"):
            if old != path:
                old.unlink()

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

    def load_model(self, state: RunState) -> Any:
        """Return the compiled model of a state, its optimizer included.

        Raises:
            InputError: the checkpoint is missing or damaged.
        """
        import keras

        from fer_edge_train.fused_batch_norm import FusedBatchNormalization
        from fer_edge_train.schedules import OneCycle

        path = self._model_path(state.epochs_done)
        # A fresh process has not met these classes yet.
        own_classes = {"FusedBatchNormalization": FusedBatchNormalization, "OneCycle": OneCycle}
        try:
            return keras.saving.load_model(path, custom_objects=own_classes)
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"cannot read the checkpoint {path}: {reason}; remove {self.folder} to start anew"
            ) from error

    def forget(self) -> None:
        """Remove the run's state and checkpoints, and the folder where nothing else is in it."""
        # The state goes first: ended at any moment, what is left is no run rather than a broken one.
        self._state_path.unlink(missing_ok=True)
        for pattern in ("epoch-*.keras", ".epoch-*.part.keras", ".state.json.*.part.json"):
            for path in self.folder.glob(pattern):
                path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _model_path(self, epochs_done: int) -> Path:
        return self.folder / f"epoch-{epochs_done:05d}.keras"
