"""Scales and ticks by hand, and that no coordinate is ever out of hand."""

import math

import pytest

from fer_edge_bench.report.svg import Drawing, Scale, escape, nice_ticks, number_text, padded


@pytest.mark.parametrize(
    ("low", "high", "n_at_most", "expected"),
    [
        (0.0, 10.0, 6, [0, 2, 4, 6, 8, 10]),
        (0.0, 10.0, 5, [0, 2.5, 5, 7.5, 10]),
        (0.0, 0.9, 3, [0, 0.5]),
        (0.0, 0.9, 4, [0, 0.25, 0.5, 0.75]),
        (0.0, 0.7, 8, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (47.0, 83.0, 5, [50, 60, 70, 80]),
        (-1.0, 1.0, 3, [-1, 0, 1]),
        (0.0, 1e9, 3, [0, 5e8, 1e9]),
        (5.0, 5.0, 4, [5]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, n_at_most: int, expected: list[float]) -> None:
    assert nice_ticks(low, high, n_at_most) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scale", "value", "expected"),
    [
        (Scale(low=0.0, high=10.0, start_px=50.0, end_px=150.0), 2.5, 75.0),
        (Scale(low=0.0, high=10.0, start_px=150.0, end_px=50.0), 2.5, 125.0),
        (Scale(low=0.0, high=10.0, start_px=50.0, end_px=150.0), 99.0, 150.0),
        (Scale(low=1.0, high=100.0, start_px=0.0, end_px=200.0, logarithmic=True), 10.0, 100.0),
        (Scale(low=1.0, high=100.0, start_px=0.0, end_px=200.0, logarithmic=True), 0.0, 0.0),
    ],
    ids=["right", "upward", "beyond", "logarithmic", "zero on a logarithmic one"],
)
def test_a_scale(scale: Scale, value: float, expected: float) -> None:
    assert scale(value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "width", "expected"),
    [
        (0.9, 220.0, 328.0, [1, 2, 5, 10, 20, 50, 100, 200]),
        (0.9, 22000.0, 328.0, [1, 10, 100, 1000, 10000]),
        (3.0, 4.0, 328.0, [3, 4]),
    ],
    ids=["two decades", "four decades", "none within"],
)
def test_logarithmic_ticks(low: float, high: float, width: float, expected: list[float]) -> None:
    scale = Scale(low=low, high=high, start_px=0.0, end_px=width, logarithmic=True)
    assert scale.ticks(40.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "logarithmic"),
    [(1.0, 1.0, False), (2.0, 1.0, False), (0.0, 1.0, True), (math.nan, 1.0, False)],
    ids=["one value", "descending", "logarithm of 0", "no number"],
)
def test_a_scale_of_nothing_is_refused(low: float, high: float, logarithmic: bool) -> None:
    with pytest.raises(ValueError, match="expected ascending bounds"):
        Scale(low=low, high=high, start_px=0.0, end_px=1.0, logarithmic=logarithmic)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (0.0, 1.0)), ([5.0, 5.0], (4.5, 5.5)), ([0.0], (-1.0, 1.0)), ([0.0, 10.0], (-1.0, 11.0))],
    ids=["none", "all equal", "zero", "two"],
)
def test_padded(values: list[float], expected: tuple[float, float]) -> None:
    assert padded(values, 0.1) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (1.25, "1.2"), (-0.01, "0"), (100.0, "100"), (1e6 / 3, "333333.3")]
)
def test_a_coordinate(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_coordinate_is_finite(value: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        Drawing(10, 10).line([(0, value)], css="x")


def test_a_drawing_is_labelled_and_escaped() -> None:
    drawing = Drawing(20, 10)
    drawing.circle(1, 2, 3, css="f0", title="<a>")
    drawing.dots([(1, 2), (3.25, 4)], css="dots")
    drawing.text(0, 5, "a & b\x1b", anchor="end", css="tick")
    assert drawing.to_svg(key="k", title='"t"', description="d > e", css="wide") == (
        '<svg class="plot wide" viewBox="0 0 20 10" role="img" aria-labelledby="k-title k-desc">'
        '<title id="k-title">&quot;t&quot;</title><desc id="k-desc">d &gt; e</desc>'
        '<circle cx="1" cy="2" r="3" class="f0"><title>&lt;a&gt;</title></circle>'
        '<path d="M1 2h0M3.2 4h0" class="dots"></path>'
        '<text x="0" y="5" text-anchor="end" class="tick">a &amp; b?</text></svg>'
    )


def test_nothing_to_draw_draws_nothing() -> None:
    drawing = Drawing(20, 10)
    drawing.line([], css="curve")
    drawing.dots([], css="dots")
    assert drawing.shapes == []


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [(0.0, 0.7, ["0.0", "0.2", "0.4", "0.6"]), (0.0, 7.0, ["0", "2", "4", "6"]), (66.35, 66.5, ["66.35", "66.40"])],
    ids=["tenths", "whole", "hundredths"],
)
def test_ticks_have_the_digits_they_need(low: float, high: float, texts: list[str]) -> None:
    drawing = Drawing(200, 50)
    drawing.x_axis(Scale(low=low, high=high, start_px=0, end_px=200), 0, 20, "ms")
    shown = [shape.split(">")[1].split("<")[0] for shape in drawing.shapes if shape.startswith("<text")]
    assert shown[: len(texts)] == texts
    assert shown[-1] == "ms"


def test_escape_leaves_nothing_to_html() -> None:
    assert escape("<script>'\"&\x00") == "&lt;script&gt;&#x27;&quot;&amp;?"
