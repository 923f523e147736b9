"""A record as a picture: time for a photo of one face, and memory against it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from peer_figures import median_ms, peak_memory_bytes, portrait_indices, smallest_face
from peer_record import CaseResult, PeersRecord

from fer_edge.errors import InputError
from fer_edge.files import atomic_path
from fer_edge_train.plots import BLUE, ORANGE, new_figure

__all__ = ["draw_record"]

_TITLES = {"detect": "faces", "expressions": "faces and expressions"}
_GRAY = "#8a8a8a"
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_ABOVE, _BELOW = (7, 6), (7, -14)  # from a point to its name, in points


def draw_record(record: PeersRecord, path: Path) -> None:
    """Draw a row for each mode: bars of ms on the left, memory over ms on the right.

    Raises:
        InputError: nothing ran.
        MissingExtraError: matplotlib is not installed.
        OutputError: the picture cannot be written.
    """
    by_mode = {mode: [case for case in record.cases if case.mode == mode and case.rounds] for mode in _TITLES}
    shown = {mode: cases for mode, cases in by_mode.items() if cases}
    if not shown:
        raise InputError("the record: expected at least one package that ran, found none")
    figure = new_figure(13.0, 0.6 + 4.2 * len(shown))
    figure.suptitle(_circumstances(record), x=0.01, ha="left", fontsize=10, color="#444444")
    portraits = portrait_indices(record)
    axes = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(1.15, 1.0))
    for (bars, scatter), (mode, cases) in zip(axes, shown.items(), strict=True):
        _draw_bars(bars, cases, portraits, _TITLES[mode])
        _draw_scatter(scatter, cases, portraits)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _circumstances(record: PeersRecord) -> str:
    machine, settings = record.machine, record.settings
    return (
        f"{machine.get('cpu')}, {machine.get('architecture')}, threads: {settings.threads}; medians of "
        f"{settings.rounds} processes of each package, in turns on the same photos"
    )


def _draw_bars(axes: Any, cases: list[CaseResult], portraits: list[int], title: str) -> None:
    names = [_name(case) for case in cases]
    values_ms = [median_ms(case, portraits) for case in cases]
    bars = axes.barh(names, values_ms, color=[_colour(case) for case in cases])
    axes.bar_label(bars, [f"{value:.0f}" for value in values_ms], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(f"A photo of one face, 640 x 480: {title}", loc="left", fontweight="bold")
    axes.set_xlabel("ms")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_scatter(axes: Any, cases: list[CaseResult], portraits: list[int]) -> None:
    packages: dict[str, list[CaseResult]] = {}
    for case in cases:
        packages.setdefault(case.name, []).append(case)
    points = {
        name: [(median_ms(case, portraits), peak_memory_bytes(case) / 1e6) for case in same]
        for name, same in packages.items()
    }
    for name, same in packages.items():
        xs, ys = zip(*points[name], strict=True)
        axes.plot(xs, ys, color=_GRAY, linewidth=1, zorder=2)
        axes.scatter(xs, ys, color=[_colour(case) for case in same], s=60, zorder=3)
        offset = _name_offset(points[name][0], [other[0] for key, other in points.items() if key != name])
        axes.annotate(name, points[name][0], xytext=offset, textcoords="offset points", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="ms (log)", ylabel="peak memory / MB (log)")
    axes.margins(0.2)
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        axis.set_ticks(ticks, [f"{tick}" for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set_title("Memory against time", loc="left", fontweight="bold")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _name_offset(point: tuple[float, float], others: list[tuple[float, float]]) -> tuple[int, int]:
    """Return where a name goes: away from the nearest other point, so that the two do not write over each other."""
    if not others:
        return _ABOVE
    nearest = min(others, key=lambda other: math.hypot(math.log(other[0] / point[0]), math.log(other[1] / point[1])))
    return _ABOVE if point[1] >= nearest[1] else _BELOW


def _name(case: CaseResult) -> str:
    if case.min_face_px is not None:
        return f"{case.name}, {smallest_face(case)}"
    return case.name if _is_own(case) else f"{case.name}, its default"


def _is_own(case: CaseResult) -> bool:
    return case.name.startswith("fer-edge")


def _colour(case: CaseResult) -> str:
    if _is_own(case):
        return BLUE
    return _GRAY if case.min_face_px is None else ORANGE
