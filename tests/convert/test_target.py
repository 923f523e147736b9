from __future__ import annotations

from pathlib import Path

import pytest

from fer_edge.errors import OutputError, UsageError
from fer_edge_convert.target import check_target_folder


def folder_with(*names):
    def make(path):
        path.mkdir()
        for name in names:
            (path / name).write_bytes(b"")

    return make


def link(path):
    real = path.with_name("real")
    folder_with("manifest.json")(real)
    path.symlink_to(real)


@pytest.mark.parametrize(
    ("make", "force"),
    [
        pytest.param(lambda p: None, False, id="new"),
        pytest.param(lambda p: None, True, id="new, with force"),
        pytest.param(folder_with("manifest.json", "other"), True, id="a bundle, with force"),
        pytest.param(folder_with(), True, id="an empty folder, with force"),
    ],
)
def test_a_place_that_may_be_written(tmp_path, make, force):
    make(tmp_path / "out")
    check_target_folder(tmp_path / "out", marker="manifest.json", force=force)


@pytest.mark.parametrize(
    ("make", "force", "message"),
    [
        pytest.param(
            folder_with("manifest.json"), False, "exists already; choose another name or add --force", id="bundle"
        ),
        pytest.param(folder_with(), False, "exists already", id="empty folder"),
        pytest.param(
            folder_with("thesis.tex"),
            True,
            r"--force replaces a folder with manifest\.json, found one without",
            id="other",
        ),
        pytest.param(
            lambda p: p.write_bytes(b""), True, "expected a folder or nothing, found a file or a link", id="file"
        ),
        pytest.param(link, True, "expected a folder or nothing, found a file or a link", id="link"),
    ],
)
def test_a_place_that_may_not(tmp_path, make, force, message):
    make(tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        check_target_folder(tmp_path / "out", marker="manifest.json", force=force)


@pytest.mark.parametrize("text", [".", "/", "a/.."])
def test_a_folder_without_a_name(text):
    with pytest.raises(UsageError, match="expected a folder with a name of its own"):
        check_target_folder(Path(text), marker="manifest.json", force=True)


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(OutputError, match="does not exist; create it first"):
        check_target_folder(tmp_path / "no" / "out", marker="manifest.json", force=False)
