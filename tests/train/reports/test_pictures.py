from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_edge.errors import OutputError
from fer_edge_train.datasets import FER2013_LABELS
from fer_edge_train.metrics import Share, reliability
from fer_edge_train.reports.pictures import Mistake, plot_classes, plot_mistakes, plot_reliability

pytestmark = pytest.mark.host

BLUE, LIGHT_BLUE, ORANGE = "1f5fa8", "a9c7e8", "c8501e"


@pytest.fixture(autouse=True)
def _matplotlib():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def read(path):
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    return picture


def is_colour(picture: np.ndarray, hex_rgb: str, tolerance: int = 8) -> np.ndarray:
    bgr = np.array([int(hex_rgb[i : i + 2], 16) for i in (4, 2, 0)])
    return abs(picture.astype(int) - bgr).max(axis=2) < tolerance


def test_reliability_shows_shares_and_counts(tmp_path):
    # Two bins of 15: 30 answers of 0.5 confidence, all right; 10 of 0.9, half of them right.
    top = np.array([0.5] * 30 + [0.9] * 10)
    probs = np.stack([top, 1 - top], axis=1)
    actual = np.array([0] * 35 + [1] * 5)
    plot_reliability(reliability(probs, actual), "title", tmp_path / "r.png")
    picture = read(tmp_path / "r.png")
    assert picture.shape == (864, 864, 3)
    # Share of the upper half's bars: 1.0 to 0.5.
    columns = is_colour(picture[: 864 * 6 // 10], LIGHT_BLUE).sum(axis=0)
    tall, short = np.percentile(columns[columns > 20], [90, 10])
    assert short / tall == pytest.approx(0.5, abs=0.06)
    # Counts of the lower half's bars: 30 to 10.
    columns = is_colour(picture[864 * 6 // 10 :], BLUE).sum(axis=0)
    tall, short = np.percentile(columns[columns > 5], [90, 10])
    assert short / tall == pytest.approx(1 / 3, abs=0.06)
    assert is_colour(picture, ORANGE).sum() > 60


def test_classes_show_two_shares_and_leave_out_a_share_of_nothing(tmp_path):
    rows = [(name, Share(count=8, n=10), Share(count=2, n=10)) for name in FER2013_LABELS]
    plot_classes(rows, ("recall", "precision"), "title", tmp_path / "c.png")
    full = read(tmp_path / "c.png")
    assert full.shape == (round((1.6 + 0.55 * 7) * 120), 864, 3)
    above_legend = full[:520]
    blue_x, orange_x = (np.median(np.nonzero(is_colour(above_legend, colour))[1]) for colour in (BLUE, ORANGE))
    assert blue_x - orange_x == pytest.approx(0.6 * 742, rel=0.08)  # 80 % and 20 % on axes of about 742 px
    rows[1] = ("disgust", Share(count=8, n=10), Share(count=0, n=0))
    plot_classes(rows, ("recall", "precision"), "title", tmp_path / "c.png")
    without = read(tmp_path / "c.png")
    ratio = is_colour(without[:520], ORANGE).sum() / is_colour(above_legend, ORANGE).sum()
    assert ratio == pytest.approx(6 / 7, abs=0.03)
    assert is_colour(without[:520], BLUE).sum() == is_colour(above_legend, BLUE).sum()


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (4, 1), (5, 2), (20, 5)])
def test_the_contact_sheet_has_four_faces_in_a_row(tmp_path, n, rows):
    shapes = ((48, 48, 1), (30, 40), (90, 90, 3))
    mistakes = [
        Mistake(crop=np.full(shapes[i % 3], 200, np.uint8), labelled="sad", predicted="happy", confidence=0.98)
        for i in range(n)
    ]
    plot_mistakes(mistakes, tmp_path / "m.png")
    picture = read(tmp_path / "m.png")
    assert picture.shape[1] == round((4 * 1.78 + 0.08) * 120)
    assert abs(picture.shape[0] - (rows * 2.32 + 0.08) * 120) <= 1
    # The confidence is below each face, the lowest too, and no letter is cut off at the border.
    ink = is_colour(picture, ORANGE, 40)
    assert ink[-round(0.62 * 120) :].any()
    dark = picture.max(axis=2) < 150
    assert dark[-round(0.5 * 120) :].any()
    assert not dark[-3:].any()
    assert not ink[:, :2].any()


def test_colours_are_not_swapped(tmp_path):
    crop = np.zeros((20, 20, 3), np.uint8)
    crop[...] = (200, 40, 0)  # B, G, R
    plot_mistakes([Mistake(crop=crop, labelled="sad", predicted="happy", confidence=0.5)], tmp_path / "m.png")
    assert is_colour(read(tmp_path / "m.png"), "0028c8", 4).mean() > 0.1


def test_no_mistakes_are_no_sheet(tmp_path):
    with pytest.raises(ValueError, match="expected at least one, found none"):
        plot_mistakes([], tmp_path / "m.png")


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        plot_classes([("sad", Share(count=1, n=2), Share(count=1, n=2))], ("a", "b"), "t", tmp_path / "no" / "c.png")
