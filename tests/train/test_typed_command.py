from __future__ import annotations

import sys

import pytest

from fer_edge_train.typed_command import typed_command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            ["train", "mini_xception", "--epochs", "3"], "fer-edge train mini_xception --epochs 3", id="plain"
        ),
        pytest.param(["--data", "/home/somebody/fer2013.csv"], "fer-edge --data fer2013.csv", id="absolute"),
        pytest.param(["--data=/home/somebody/fer2013.csv"], "fer-edge --data=fer2013.csv", id="with an equals sign"),
        pytest.param(["--data", "private/faces.csv"], "fer-edge --data faces.csv", id="a file"),
        pytest.param(["--out", "models/mine"], "fer-edge --out models/mine", id="a folder of the project"),
        pytest.param(["--data", "fer-2013:/home/me/f.csv"], "fer-edge --data fer-2013:f.csv", id="a named data set"),
        pytest.param(["--data=raf-db:../me/raf"], "fer-edge --data=raf-db:raf", id="a folder above"),
        pytest.param(["--name", "my bundle"], "fer-edge --name 'my bundle'", id="a blank"),
        pytest.param(["--name", 300 * "x"], f"fer-edge --name {300 * 'x'}", id="longer than a file's name may be"),
        pytest.param(["--max-drop=-1", "-o", "b"], "fer-edge --max-drop=-1 -o b", id="a number"),
    ],
)
def test_folders_of_files_are_left_out(monkeypatch, tmp_path, words, expected):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "faces.csv").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fer-edge", *words])
    assert typed_command() == expected
