"""The pictures of a conversion's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_edge.files import atomic_path
from fer_edge_convert.measuring import VariantFigures
from fer_edge_convert.search import SearchOutcome, pareto_front
from fer_edge_convert.tensor_errors import TensorError
from fer_edge_train.plots import BLUE, ORANGE, new_figure

__all__ = ["plot_drops", "plot_pareto", "plot_search", "plot_sensitivities", "plot_tensor_errors"]

_LARGE_PT, _PT, _SMALL_PT = 14, 12, 10
_WIDTH_IN = 7.2
_COLOURS = (BLUE, ORANGE, "#3a7d44")
_MARKERS = ("o", "s", "^")
_ENGINES = ("litert", "onnx", "openvino")
_LABEL_PLACES = ((0, 9), (0, -17), (9, -4))  # engines' files are often close: each has its labels on another side


def plot_drops(figures: Sequence[VariantFigures], path: Path) -> None:
    """Draw what each file loses against the network, with its 95 % interval, into a PNG."""
    figure = new_figure(_WIDTH_IN, 1.4 + 0.42 * len(figures))
    axes = figure.subplots()
    for row, item in enumerate(figures):
        axes.plot(item.drop_interval95, [row, row], color=BLUE, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
        axes.plot(item.drop_points, row, color=BLUE, marker="o", markersize=8)
    axes.axvline(0, color="#555555", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(figures)), [f"{item.engine} {item.precision}" for item in figures], fontsize=_PT)
    axes.set_ylim(len(figures) - 0.5, -0.5)
    axes.set_xlabel("top-1 lost / points", fontsize=_PT)
    _finish(figure, axes, "What each file loses", path)


def plot_pareto(figures: Sequence[VariantFigures], latencies_ms: Sequence[float], path: Path) -> None:
    """Draw every file's top-1 over its bytes and over its time, and the fronts that no file beats, into a PNG."""
    figure = new_figure(2 * _WIDTH_IN, 4.8)
    sizes_kb = [item.n_bytes / 1e3 for item in figures]
    top1 = [100 * item.evaluation.accuracy.top1 for item in figures]
    axes_pair = figure.subplots(1, 2, sharey=True)
    for axes, costs, what in zip(
        axes_pair, (sizes_kb, latencies_ms), ("size / kB", "time of one face / ms"), strict=True
    ):
        for item, cost, value in zip(figures, costs, top1, strict=True):
            engine = _ENGINES.index(item.engine)
            axes.plot(cost, value, color=_COLOURS[engine], marker=_MARKERS[engine], markersize=9, linestyle="none")
            axes.annotate(
                item.precision,
                (cost, value),
                xytext=_LABEL_PLACES[engine],
                textcoords="offset points",
                fontsize=_SMALL_PT,
                color=_COLOURS[engine],
                ha="left" if _LABEL_PLACES[engine][0] else "center",
            )
        front = cheapest_for_accuracy(costs, top1)
        axes.plot([costs[i] for i in front], [top1[i] for i in front], color="#999999", linewidth=1.2, zorder=0)
        axes.margins(x=0.15, y=0.25)
        axes.set_xlim(left=0)
        axes.set_xlabel(what, fontsize=_PT)
        _style(axes)
    axes_pair[0].set_ylabel("top-1 / %", fontsize=_PT)
    for name in {item.engine: None for item in figures}:
        index = _ENGINES.index(name)
        axes_pair[0].plot([], [], color=_COLOURS[index], marker=_MARKERS[index], linestyle="none", label=name)
    figure.legend(frameon=False, fontsize=_PT, loc="outside lower center", ncols=len(_ENGINES))
    figure.suptitle("What accuracy costs; no file is better than those on the line in both", fontsize=_LARGE_PT)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def cheapest_for_accuracy(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Return the positions of those that no other beats in both (less cost, more value), by ascending cost."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i]))
    front: list[int] = []
    for index in order:
        if not front or values[index] > values[front[-1]]:
            front.append(index)
    return front


def plot_tensor_errors(errors: Mapping[str, Sequence[TensorError]], path: Path) -> None:
    """Draw the signal to noise ratio of each engine's activations, in order, into a PNG."""
    figure = new_figure(_WIDTH_IN, 4.2)
    axes = figure.subplots()
    for (engine, found), colour, marker in zip(errors.items(), _COLOURS, _MARKERS, strict=False):
        places = [position for position, item in enumerate(found) if math.isfinite(item.sqnr_db)]
        axes.plot(places, [found[i].sqnr_db for i in places], color=colour, marker=marker, label=f"{engine} int8")
    axes.set_xlabel("activation, in the order of computation", fontsize=_PT)
    axes.set_ylabel("signal to noise / dB", fontsize=_PT)
    axes.legend(frameon=False, fontsize=_PT)
    _finish(figure, axes, "Activations in int8 against float32", path)


def plot_search(outcome: SearchOutcome, path: Path) -> None:
    """Draw divergence and bytes of every recipe that was tried, the front and the chosen one, into a PNG."""
    figure = new_figure(_WIDTH_IN, 4.8)
    axes = figure.subplots()
    for position, point in enumerate(outcome.points):
        mixed = len(point.recipe.float_layers)
        axes.plot(
            point.trial.n_bytes / 1e3,
            point.trial.divergence,
            color=ORANGE if mixed else BLUE,
            marker="s" if mixed else "o",
            linestyle="none",
            markersize=8,
        )
        axes.annotate(
            f"+{mixed} float" if mixed else point.recipe.method,
            (point.trial.n_bytes / 1e3, point.trial.divergence),
            xytext=(8, -14 if position % 2 else 6),  # neighbours would write over each other
            textcoords="offset points",
            fontsize=_SMALL_PT,
        )
    front = pareto_front(outcome.points)
    axes.plot(
        [point.trial.n_bytes / 1e3 for point in front],
        [point.trial.divergence for point in front],
        color="#999999",
        linewidth=1.2,
        zorder=0,
        label="nothing tried is better in both",
    )
    chosen = outcome.chosen.trial
    axes.plot(
        chosen.n_bytes / 1e3,
        chosen.divergence,
        marker="o",
        markersize=18,
        fillstyle="none",
        color="#222222",
        linestyle="none",
        label="chosen",
    )
    axes.set_yscale("log")
    axes.margins(x=0.2, y=0.15)
    axes.set_xlabel("size / kB", fontsize=_PT)
    axes.set_ylabel("divergence from the network / nats", fontsize=_PT)
    figure.legend(frameon=False, fontsize=_PT, loc="outside lower center", ncols=2)
    _finish(figure, axes, f"Recipes for {outcome.engine} {outcome.precision}", path)


def plot_sensitivities(outcome: SearchOutcome, path: Path) -> None:
    """Draw what leaving each layer in float32 wins, in the order of computation, into a PNG."""
    items = sorted(outcome.sensitivities, key=lambda item: item.layer.index)
    figure = new_figure(_WIDTH_IN, 1.4 + 0.26 * len(items))
    axes = figure.subplots()
    axes.barh(range(len(items)), [1e3 * item.gain for item in items], color=BLUE)
    axes.axvline(0, color="#555555", linewidth=1)
    axes.set_yticks(range(len(items)), [item.layer.label for item in items], fontsize=_SMALL_PT)
    axes.set_ylim(len(items) - 0.5, -0.5)
    axes.set_xlabel("divergence won / thousandths of a nat", fontsize=_PT)
    _finish(figure, axes, f"{outcome.engine} {outcome.precision}: one layer in float32", path)


def _finish(figure: Any, axes: Any, title: str, path: Path) -> None:
    axes.set_title(title, fontsize=_LARGE_PT)
    _style(axes)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _style(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=_PT)
    axes.spines[["top", "right"]].set_visible(False)
