"""Drawings as inline SVG: scales with round ticks, lines, dots, bars and text.

Matplotlib does all this and more, and takes more room on a device than all of fer-edge. Colours are left to the page: a
shape has classes, so that one drawing is right in the dark and in the light.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fer_edge_bench.report.figures import printable

__all__ = ["Drawing", "Scale", "escape", "nice_ticks", "number_text", "padded"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_STEPS = (1.0, 2.0, 5.0)
_TICK_PX = 5.0
_LINE_PX = 14.0


def escape(text: str) -> str:
    """Return text that HTML and its attributes show as it is."""
    return html.escape(printable(text), quote=True)


def number_text(value: float) -> str:
    """Return a coordinate in tenths of a pixel.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"a drawing's coordinate: expected a finite number, found {value}")
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def nice_ticks(low: float, high: float, n_at_most: int) -> list[float]:
    """Return the multiples of 1, 2, 2.5 or 5 times a power of ten within two bounds, at most so many."""
    if high <= low:
        return [low]
    raw = (high - low) / max(n_at_most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for step in (power * factor for factor in (*_STEPS, 2 * _STEPS[-1])):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= n_at_most:
            # 0.30000000000000004 is no tick.
            return [round(index * step, 12) for index in range(first, last + 1)]
    return [low]


def padded(values: Iterable[float], share: float = 0.08) -> tuple[float, float]:
    """Return bounds a little beyond the smallest and the largest value; around one value alone, or 0 to 1 for none."""
    known = list(values)
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    margin = share * (high - low) or share * abs(high) or 1.0
    return low - margin, high + margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to pixels.

    Attributes:
        low, high: values at both ends; apart, and above 0 for a logarithmic scale.
        start_px, end_px: where they are drawn; for an upward axis the end is the smaller number.
        logarithmic: equal factors are equally far apart.
    """

    low: float
    high: float
    start_px: float
    end_px: float
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.logarithmic and self.low <= 0):
            raise ValueError(f"scale: expected ascending bounds, found {self.low} and {self.high}")

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; one out of the bounds is drawn at the nearer."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start_px + share * (self.end_px - self.start_px)

    def ticks(self, spacing_px: float = 60.0) -> list[float]:
        """Return round values within the bounds, on average not nearer to each other than that."""
        n_at_most = max(int(abs(self.end_px - self.start_px) / spacing_px) + 1, 2)
        if not self.logarithmic:
            return nice_ticks(self.low, self.high, n_at_most)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in (_LOG_STEPS, _LOG_STEPS[:1]):
            ticks = [step * 10.0**power for power in powers for step in steps]
            ticks = [tick for tick in ticks if self.low <= tick <= self.high]
            if 2 <= len(ticks) <= n_at_most:
                return ticks
        return [self.low, self.high]


@dataclass(slots=True)
class Drawing:
    """A drawing that grows by its methods; coordinates are pixels from the left and from the top.

    Attributes:
        width, height: of the whole.
        shapes: as SVG, in the order drawn.
    """

    width: float
    height: float
    shapes: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", css: str = "") -> None:
        """Write; the anchor is "start", "middle" or "end", y the letters' base."""
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._add("text", f'x="{number_text(x)}" y="{number_text(y)}"{anchored}', css, content=escape(text))

    def line(self, points: Sequence[tuple[float, float]], *, css: str) -> None:
        """Draw a line through points; nothing where there are none."""
        if points:
            path = " ".join(f"{number_text(x)},{number_text(y)}" for x, y in points)
            self._add("polyline", f'points="{path}"', css)

    def rect(self, x: float, y: float, width: float, height: float, *, css: str, title: str = "") -> None:
        """Draw a rectangle, with a text that is shown under the pointer."""
        box = f'x="{number_text(x)}" y="{number_text(y)}" width="{number_text(width)}" height="{number_text(height)}"'
        self._add("rect", box, css, content=f"<title>{escape(title)}</title>" if title else "")

    def circle(self, x: float, y: float, radius: float, *, css: str, title: str = "") -> None:
        """Draw a circle, with a text that is shown under the pointer."""
        place = f'cx="{number_text(x)}" cy="{number_text(y)}" r="{number_text(radius)}"'
        self._add("circle", place, css, content=f"<title>{escape(title)}</title>" if title else "")

    def dots(self, points: Iterable[tuple[float, float]], *, css: str) -> None:
        """Draw many small dots as one shape: lines of no length with round ends, as thick as the page says."""
        path = "".join(f"M{number_text(x)} {number_text(y)}h0" for x, y in points)
        if path:
            self._add("path", f'd="{path}"', css)

    def x_axis(self, scale: Scale, top: float, bottom: float, label: str, *, spacing_px: float = 60.0) -> None:
        """Draw upright grid lines, their values below the bottom and below these what they are."""
        ticks = scale.ticks(spacing_px)
        for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
            x = scale(tick)
            self.line([(x, top), (x, bottom)], css="grid")
            self.text(x, bottom + _LINE_PX, text, anchor="middle", css="tick")
        middle = (scale.start_px + scale.end_px) / 2
        self.text(middle, bottom + 2 * _LINE_PX + 2, label, anchor="middle", css="label")

    def y_axis(self, scale: Scale, left: float, right: float, label: str, *, spacing_px: float = 34.0) -> None:
        """Draw level grid lines, their values left of them and above all of it what they are."""
        ticks = scale.ticks(spacing_px)
        for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
            y = scale(tick)
            self.line([(left, y), (right, y)], css="grid")
            self.text(left - _TICK_PX, y + 4, text, anchor="end", css="tick")
        self.text(0, min(scale.start_px, scale.end_px) - 8, label, css="label")

    def to_svg(self, *, key: str, title: str, description: str, css: str = "") -> str:
        """Return the drawing as an element whose title and description a screen reader tells.

        Args:
            key: unique on the page.
            title: what it is, in a few words.
            description: what there is to be seen.
            css: further classes.
        """
        classes = f"plot {css}".strip()
        size = f"0 0 {number_text(self.width)} {number_text(self.height)}"
        return (
            f'<svg class="{classes}" viewBox="{size}" role="img" aria-labelledby="{key}-title {key}-desc">'
            f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
            f"{''.join(self.shapes)}</svg>"
        )

    def _add(self, name: str, attributes: str, css: str, content: str = "") -> None:
        classes = f' class="{css}"' if css else ""
        self.shapes.append(f"<{name} {attributes}{classes}>{content}</{name}>")


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return the ticks with as many digits as all of them need to differ, and no more."""
    for digits in range(5):
        texts = [f"{tick:.{digits}f}" for tick in ticks]
        if all(abs(float(text) - tick) <= 1e-6 * abs(tick) for text, tick in zip(texts, ticks, strict=True)):
            return texts
    return [f"{tick:.3g}" for tick in ticks]
