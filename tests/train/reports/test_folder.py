from __future__ import annotations

import json

import pytest

from fer_edge.errors import OutputError, UsageError
from fer_edge_train.reports.document import Paragraph, Picture
from fer_edge_train.reports.folder import check_report_target, write_report


def make(folder):
    (folder / "p.png").write_bytes(b"picture")
    return "title", [Paragraph(text="words"), Picture(file="p.png", caption="p")]


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def test_everything_is_written(tmp_path):
    out = tmp_path / "r"
    check_report_target(out, force=False)
    write_report(out, {"schema": "s", "n": 1}, make)
    assert names(out) == ["p.png", "record.json", "report.html", "report.md"]
    assert json.loads((out / "record.json").read_text()) == {"schema": "s", "n": 1}
    assert (out / "report.md").read_text() == "# title\n\nwords\n\n![p](p.png)\n"
    assert "data:image/png;base64,cGljdHVyZQ==" in (out / "report.html").read_text()
    assert names(tmp_path) == ["r"]


def test_a_report_is_replaced_with_force_alone(tmp_path):
    out = tmp_path / "r"
    write_report(out, {"n": 1}, make)
    (out / "old.png").write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already; choose another name or add --force"):
        check_report_target(out, force=False)
    check_report_target(out, force=True)
    write_report(out, {"n": 2}, make)
    assert names(out) == ["p.png", "record.json", "report.html", "report.md"]
    assert names(tmp_path) == ["r"]


def test_a_model_folder_is_never_replaced(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for name in ("record.json", "model.keras", "README.md"):
        (model / name).write_text("precious")
    with pytest.raises(UsageError, match=r"--force replaces a folder with report\.html, found one without it"):
        check_report_target(model, force=True)


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(lambda folder: (folder / "no" / "p.png").write_bytes(b""), id="while drawing"),
        pytest.param(lambda folder: ("t", [Picture(file="absent.png", caption="c")]), id="a picture is missing"),
    ],
)
def test_what_fails_leaves_the_old_report_and_nothing_else(tmp_path, fail):
    out = tmp_path / "r"
    write_report(out, {"n": 1}, make)
    with pytest.raises(OutputError, match=r"^cannot write .*r: No such file or directory$"):
        write_report(out, {"n": 2}, fail)
    assert json.loads((out / "record.json").read_text()) == {"n": 1}
    assert names(tmp_path) == ["r"]


def test_nan_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(tmp_path / "r", {"n": float("nan")}, make)
    assert names(tmp_path) == []
