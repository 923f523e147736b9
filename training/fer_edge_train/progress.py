"""Progress of a training run on the terminal: a bar where someone watches, a line for each epoch in a log."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from fer_edge_train.training import Progress

__all__ = ["make_progress"]


class _Shown(Progress, AbstractContextManager["_Shown"]):
    """Base of the two forms: both are context managers."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def make_progress(stream: TextIO) -> _Shown:
    """Return a bar for a terminal, else lines."""
    return _Bar(stream) if stream.isatty() else _Lines(stream)


def _figures_text(figures: dict[str, float]) -> str:
    parts = [f"loss {figures['train_loss']:.4f}", f"train {100 * figures['train_top1']:.2f} %"]
    if "val_top1" in figures:
        parts.append(f"held out {100 * figures['val_top1']:.2f} %")
    return ", ".join([*parts, f"{figures['seconds']:.0f} s"])


class _Lines(_Shown):
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._n_epochs = 0

    def start(self, n_epochs: int, steps_per_epoch: int, epochs_done: int) -> None:
        self._n_epochs = n_epochs
        continuing = f"continuing after {epochs_done} of " if epochs_done else ""
        self._stream.write(f"{continuing}{n_epochs} epochs of {steps_per_epoch} steps\n")
        self._stream.flush()

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        self._stream.write(f"epoch {epoch + 1}/{self._n_epochs}: {_figures_text(figures)}\n")
        self._stream.flush()


class _Bar(_Shown):
    def __init__(self, stream: TextIO) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(file=stream),
        )
        self._steps_per_epoch = 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, n_epochs: int, steps_per_epoch: int, epochs_done: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._task = self._bar.add_task(
            "training", total=n_epochs * steps_per_epoch, completed=epochs_done * steps_per_epoch, figures=""
        )

    def step(self, epoch: int, step: int) -> None:
        self._bar.update(self._task, completed=epoch * self._steps_per_epoch + step, description=f"epoch {epoch + 1}")

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        self._bar.update(self._task, description=f"epoch {epoch + 1}", figures=_figures_text(figures))
