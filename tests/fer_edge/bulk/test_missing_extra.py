"""What is said where pyarrow is not installed."""

from __future__ import annotations

import shutil
import sys

from fer_edge.assets import demo_photo_path
from fer_edge.cli import main


def test_parquet_names_the_extra(capsys, monkeypatch, tmp_path, default_bundle):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    shutil.copy(demo_photo_path(), tmp_path / "a.png")
    out = tmp_path / "out.parquet"
    words = ["bulk", str(tmp_path), "--out", str(out), "--bundle", str(default_bundle.path), "--engine", "onnx"]
    assert main(words) == 3
    err = capsys.readouterr().err
    assert err.startswith("fer-edge: error: pyarrow, which writes Parquet, cannot be imported")
    assert err.endswith('pip install "fer-edge[parquet]"\n')
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
