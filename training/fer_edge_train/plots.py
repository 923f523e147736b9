"""Pictures for people: learning curves and confusion matrices, drawn with matplotlib off screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import MissingExtraError
from fer_edge.files import atomic_path

__all__ = ["BLUE", "ORANGE", "new_figure", "plot_confusion", "plot_curve", "require_matplotlib"]

_DPI = 120
BLUE, ORANGE = "#1f5fa8", "#c8501e"
_FEW_EPOCHS = 12  # a line through so few points hides them


def require_matplotlib() -> None:
    """Import matplotlib, so that its absence is known before long work.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401 - imported to see that it can be
    except ImportError as error:
        raise MissingExtraError('pictures need matplotlib; pip install "fer-edge[train]"') from error


def new_figure(width_in: float, height_in: float) -> Any:
    """Return a figure of matplotlib that is drawn off screen, 120 pixels an inch.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plot_curve(curve: list[dict[str, float]], path: Path) -> None:
    """Draw loss and accuracy over the epochs into a PNG."""
    figure = new_figure(9, 3.6)
    epochs = np.arange(1, len(curve) + 1)
    left, right = figure.subplots(1, 2)
    marker = "o" if len(curve) <= _FEW_EPOCHS else ""
    left.plot(epochs, [row["train_loss"] for row in curve], color=BLUE, marker=marker)
    left.set(xlabel="epoch", ylabel="training loss (cross-entropy)")
    top1 = [100 * row["train_top1"] for row in curve]
    right.plot(epochs, top1, color=BLUE, marker=marker, label="training (augmented)")
    if all("val_top1" in row for row in curve):
        held_out = [100 * row["val_top1"] for row in curve]
        right.plot(epochs, held_out, color=ORANGE, marker=marker, label="held out")
    right.set(xlabel="epoch", ylabel="top-1 accuracy / %")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_xlim(0.5, len(curve) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.yaxis.get_major_formatter().set_useOffset(False)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_confusion(confusion: npt.NDArray[np.int64], labels: tuple[str, ...], title: str, path: Path) -> None:
    """Draw a confusion matrix (rows: true, columns: predicted) into a PNG: row share in %, count below it."""
    totals = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    shares = confusion / totals
    side_in = 1.6 + 0.85 * len(labels)
    figure = new_figure(side_in + 0.6, side_in)
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0.0, vmax=100.0)
    for row in range(len(labels)):
        for column in range(len(labels)):
            share = shares[row, column]
            text = {"ha": "center", "color": "white" if share > 0.6 else "#222222"}
            axes.text(column, row - 0.02, f"{100 * share:.0f} %", va="bottom", fontsize=13, **text)
            axes.text(column, row + 0.1, str(confusion[row, column]), va="top", fontsize=10, **text)
    axes.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor", fontsize=12)
    axes.set_yticks(range(len(labels)), labels, fontsize=12)
    axes.set_xlabel("predicted", fontsize=12)
    axes.set_ylabel("labelled", fontsize=12)
    axes.set_title(title, fontsize=12)
    bar = figure.colorbar(image, ax=axes, fraction=0.046)
    bar.set_label("share of the labelled class / %", fontsize=11)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
