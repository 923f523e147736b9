"""The page's colours can be told from its ground, in the light and in the dark (WCAG 2.2: 4.5 : 1 for text)."""

import importlib.resources
import re

import pytest
from bench.report.whole_record import ACCURACIES, whole_record

from fer_edge_bench.report import report_html

STYLE = importlib.resources.files("fer_edge_bench.report").joinpath("style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)
)
ON_PAGE = ["ink", "quiet", "doubt", *(f"c{i}" for i in range(8)), *(f"t{i}" for i in range(8))]
PAIRS = [
    *((name, "page") for name in ON_PAGE),
    ("quiet", "band"),
    ("ink", "good-back"),
    ("quiet", "good-back"),
    ("good", "good-back"),
    ("ink", "doubt-back"),
    ("doubt", "doubt-back"),
    ("ink", "card"),
]


def luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS, ids=lambda name: name)
def test_text_can_be_read(colours: dict[str, str], text: str, ground: str) -> None:
    assert contrast(colours[text], colours[ground]) >= 4.5


def test_both_have_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_every_class_of_the_drawings_has_a_style() -> None:
    html = report_html(whole_record(), command="x", accuracies=ACCURACIES)
    used = {name for names in re.findall(r'class="([^"]+)"', html) for name in names.split()}
    assert {name for name in used if not re.search(rf"\.{name}\b", STYLE)} == set()
