"""The pictures of a report: how far confidence can be relied on, recall by class, and the surest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.files import atomic_path
from fer_edge_train.metrics import Reliability, Share
from fer_edge_train.plots import BLUE, ORANGE, new_figure

__all__ = ["Mistake", "plot_classes", "plot_mistakes", "plot_reliability"]

# Sizes in points on pictures about 7 inches wide: a phone shows such a picture at a third of its size.
_LARGE_PT, _PT, _SMALL_PT = 14, 12, 10
_GRAY, _LIGHT_BLUE = "#555555", "#a9c7e8"
_COLUMNS = 4
_TILE_IN, _GAP_IN, _TEXT_IN = 1.7, 0.08, 0.62


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mistake:
    """A face that was named otherwise than labelled.

    Attributes:
        crop: uint8 (h, w), (h, w, 1) or (h, w, 3) in B, G, R, what the classifier saw, at any size.
        labelled, predicted: classes.
        confidence: the probability of the predicted class, 0 to 1.
    """

    crop: npt.NDArray[np.uint8]
    labelled: str
    predicted: str
    confidence: float


def plot_reliability(reliability: Reliability, title: str, path: Path) -> None:
    """Draw into a PNG how often answers of each confidence are right, and below it how many answers there are."""
    figure = new_figure(7.2, 7.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    edges = reliability.edges
    width = float(edges[1] - edges[0])
    middles = (edges[:-1] + edges[1:]) / 2
    filled = reliability.counts > 0
    upper.plot([0, 1], [0, 1], color=_GRAY, linestyle="--", linewidth=1.2, label="as sure as right")
    upper.bar(
        middles[filled],
        reliability.accuracy[filled],
        width=0.92 * width,
        color=_LIGHT_BLUE,
        edgecolor=BLUE,
        label="right, of the answers in the bin",
    )
    upper.plot(
        reliability.confidence[filled],
        reliability.accuracy[filled],
        color=ORANGE,
        marker="o",
        linestyle="none",
        clip_on=False,
        label="at their mean confidence",
    )
    upper.set(ylim=(0, 1.02), xlim=(0, 1))
    upper.set_ylabel("share of right answers", fontsize=_PT)
    upper.set_title(title, fontsize=_LARGE_PT)
    upper.legend(frameon=False, fontsize=_PT, loc="upper left")
    bars = lower.bar(middles, reliability.counts, width=0.92 * width, color=BLUE)
    lower.bar_label(bars, [str(count) if count else "" for count in reliability.counts], fontsize=_SMALL_PT, padding=2)
    lower.set_ylim(0, 1.25 * int(reliability.counts.max()))
    lower.set_xlabel("confidence: the largest probability", fontsize=_PT)
    lower.set_ylabel("answers", fontsize=_PT)
    for axes in (upper, lower):
        axes.grid(alpha=0.25, axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=_PT)
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def plot_classes(rows: Sequence[tuple[str, Share, Share]], names: tuple[str, str], title: str, path: Path) -> None:
    """Draw two shares of each class with their 95 % intervals into a PNG; a share of nothing is left out.

    Args:
        rows: for each class its name and the two shares.
        names: what the shares are.
        title: above the picture.
        path: the PNG.
    """
    figure = new_figure(7.2, 1.6 + 0.55 * len(rows))
    axes = figure.subplots()
    for column, (colour, name, marker) in enumerate(zip((BLUE, ORANGE), names, ("o", "s"), strict=True)):
        for row, (_, *shares) in enumerate(rows):
            share = shares[column]
            if not share.n:
                continue
            low, high = share.interval95
            y = row + (-0.14, 0.14)[column]
            axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
            axes.plot(100 * share.share, y, color=colour, marker=marker, markersize=8, linestyle="none", clip_on=False)
        axes.plot([], [], color=colour, marker=marker, markersize=8, linewidth=2.4, label=name)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=_PT)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlabel("% with 95 % interval", fontsize=_PT)
    axes.tick_params(labelsize=_PT)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=_LARGE_PT)
    figure.legend(frameon=False, fontsize=_PT, loc="outside lower center", ncols=2)
    _save(figure, path)


def plot_mistakes(mistakes: Sequence[Mistake], path: Path) -> None:
    """Draw a contact sheet into a PNG, four faces in a row: what the model says and how surely, below it the label."""
    if not mistakes:
        raise ValueError("mistakes: expected at least one, found none")
    width_in = _COLUMNS * (_TILE_IN + _GAP_IN) + _GAP_IN
    height_in = -(-len(mistakes) // _COLUMNS) * (_TILE_IN + _TEXT_IN) + _GAP_IN
    figure = new_figure(width_in, height_in)
    figure.set_layout_engine("none")  # the places are known; it would leave no room for the text
    for position, mistake in enumerate(mistakes):
        row, column = divmod(position, _COLUMNS)
        left_in = _GAP_IN + column * (_TILE_IN + _GAP_IN)
        bottom_in = height_in - _GAP_IN - _TILE_IN - row * (_TILE_IN + _TEXT_IN)
        place = (left_in / width_in, bottom_in / height_in, _TILE_IN / width_in, _TILE_IN / height_in)
        axes = figure.add_axes(place)
        axes.axis("off")
        crop = mistake.crop if mistake.crop.ndim == 2 or mistake.crop.shape[2] == 3 else mistake.crop[..., 0]
        if crop.ndim == 3:
            axes.imshow(crop[..., ::-1], interpolation="bicubic")
        else:
            axes.imshow(crop, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
        says = f"{mistake.predicted} {100 * mistake.confidence:.0f} %"
        text = {"ha": "center", "va": "top", "transform": axes.transAxes}
        axes.text(0.5, -0.03, says, fontsize=_LARGE_PT, fontweight="bold", color=ORANGE, **text)
        axes.text(0.5, -0.17, f"labelled {mistake.labelled}", fontsize=_PT, color="#222222", **text)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
