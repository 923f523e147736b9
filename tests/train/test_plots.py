from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from fer_edge.errors import MissingExtraError, OutputError
from fer_edge_train.datasets import FER2013_LABELS
from fer_edge_train.plots import plot_confusion, plot_curve

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def _matplotlib():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def curve(n: int, *, held_out: bool = True) -> list[dict[str, float]]:
    rows = [
        {"train_loss": 2.0 / (i + 1) ** 0.3, "train_top1": 0.65 - 0.4 / (i + 1) ** 0.5, "val_top1": 0.6 - 0.3 / (i + 1)}
        for i in range(n)
    ]
    return rows if held_out else [{k: v for k, v in row.items() if k != "val_top1"} for row in rows]


def colour_pixels(picture: np.ndarray, hex_rgb: str) -> int:
    bgr = np.array([int(hex_rgb[i : i + 2], 16) for i in (4, 2, 0)])
    return int((abs(picture.astype(int) - bgr).max(axis=2) < 12).sum())


@pytest.mark.parametrize(("n", "held_out"), [(1, True), (2, True), (64, True), (64, False)])
def test_the_curve_is_drawn(tmp_path, n, held_out):
    path = tmp_path / "curve.png"
    plot_curve(curve(n, held_out=held_out), path)
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (432, 1080, 3)
    assert colour_pixels(picture, "1f5fa8") > 80  # one epoch is seen too
    assert (colour_pixels(picture, "c8501e") > 50) == held_out
    assert [item.name for item in tmp_path.iterdir()] == ["curve.png"]


@pytest.mark.parametrize("n_classes", [2, 7])
def test_the_confusion_matrix_is_drawn(tmp_path, n_classes):
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 90, (n_classes, n_classes)) + np.diag(rng.integers(200, 600, n_classes))
    confusion[1] = 0  # a class without images
    path = tmp_path / "confusion.png"
    plot_confusion(confusion, FER2013_LABELS[:n_classes], "PublicTest, mini_xception", path)
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    side = round((1.6 + 0.85 * n_classes) * 120)
    assert abs(picture.shape[0] - side) <= 1
    assert abs(picture.shape[1] - side - 72) <= 1
    assert [item.name for item in tmp_path.iterdir()] == ["confusion.png"]


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        plot_curve(curve(3), tmp_path / "nowhere" / "curve.png")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'pip install "fer-edge\[train\]"$'):
        plot_curve(curve(3), tmp_path / "curve.png")
