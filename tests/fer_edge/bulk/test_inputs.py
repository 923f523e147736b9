"""Which pictures a folder tree or a csv gives, and in which order."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from fer_edge.bulk.inputs import open_inputs, read_pixel_texts
from fer_edge.errors import InputError, UsageError


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    for name in ("b/2.png", "b/10.jpg", "a.PNG", "c/d/e.webp", ".hidden/f.png", "b/.g.png", "b/notes.txt", "z.csv"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (folder / "b" / "folder.png").mkdir()
    return folder


def test_a_tree_by_name_whatever_the_order_on_disk(tree):
    inputs = open_inputs(tree)
    expected = [str(tree / name) for name in ("a.PNG", "b/10.jpg", "b/2.png", "c/d/e.webp")]
    assert inputs.total == 4
    assert [item.source for item in inputs] == expected
    assert [item.path for item in inputs] == expected, "a second time"
    assert inputs.share_read() == 1.0


def test_a_linked_folder_is_not_entered(tree):
    (tree / "loop").symlink_to(tree)
    (tree / "linked.png").symlink_to(tree / "a.PNG")
    assert [Path(item.source).name for item in open_inputs(tree)][-2:] == ["e.webp", "linked.png"]


def test_a_tree_deeper_than_calls_may_be(tmp_path):
    top, n_deep = tmp_path / "a", 1200
    deepest = top.joinpath(*["a"] * n_deep)
    try:
        for folder in [*reversed(deepest.parents[: n_deep + 1]), deepest]:
            folder.mkdir(exist_ok=True)
        for path in (deepest / "z.png", top / "b.png"):
            path.write_bytes(b"x")
        assert [item.source for item in open_inputs(top)] == [str(deepest / "z.png"), str(top / "b.png")]
    finally:
        # Python's own rmtree goes no deeper than calls may.
        subprocess.run(["rm", "-r", str(top)], check=True)


def test_links_that_lead_nowhere_are_pictures_that_cannot_be_read(tree):
    """They do not end a run of a million others."""
    (tree / "circle.png").symlink_to("circle.png")
    (tree / "nowhere.png").symlink_to("missing.png")
    names = [Path(item.source).name for item in open_inputs(tree)]
    assert names == ["a.PNG", "10.jpg", "2.png", "e.webp", "circle.png", "nowhere.png"]


def test_a_csv_of_paths_beside_it(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('\ufeffid,path,note\n1,a.png,"x, ""y"""\n\n2,/b/c.png,\n3,\n4,,n\n', encoding="utf-8")
    inputs = open_inputs(path)
    assert (inputs.columns, inputs.are_faces, inputs.total) == (("id", "note"), False, None)
    first, second, third, fourth = inputs
    assert (first.source, first.path) == ("a.png", str(tmp_path / "a.png"))
    assert first.columns == {"id": "1", "note": 'x, "y"'}
    assert (second.path, second.columns) == ("/b/c.png", {"id": "2", "note": ""})
    assert (third.source, third.path, third.columns) == (str(path), None, None)
    assert third.problem == "expected 3 columns as in the header, found 2"
    assert (fourth.path, fourth.problem) == (None, "expected a path in the column path, found none")
    assert fourth.columns == {"id": "4", "note": "n"}
    assert inputs.share_read() == 1.0


PIXEL_CSV = """emotion, pixels, Usage
0,1 2 3 4,Training\r

1,"5 6 7 8","a, b"
0,10 11 12 13,Training
2,9
2,9,9,9,9
"""


@pytest.mark.parametrize("packed", [False, True], ids=["csv", "csv.gz"])
def test_a_csv_of_pixels(tmp_path, packed):
    path = tmp_path / ("faces.csv.gz" if packed else "faces.csv")
    data = PIXEL_CSV.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    inputs = open_inputs(path)
    assert (inputs.columns, inputs.are_faces) == (("emotion", "Usage"), True)
    first, second, third, fourth, fifth = inputs
    assert {item.source for item in inputs} == {str(path)}
    assert first.columns == third.columns == {"emotion": "0", "Usage": "Training"}
    assert second.columns == {"emotion": "1", "Usage": "a, b"}
    assert read_pixel_texts([first, second, third]) == [b"1 2 3 4", b"5 6 7 8", b"10 11 12 13"]
    # The text of an ordinary row stays where it is.
    assert first.span == (None if packed else (25, 7))
    assert (fourth.pixel_text, fourth.span) == (None, None)
    assert fourth.problem == "expected 3 columns as in the header, found 2"
    assert fifth.problem == "expected 3 columns as in the header, found 5"


def test_a_csv_that_goes_while_it_is_read(tmp_path):
    path = tmp_path / "faces.csv"
    path.write_text("pixels\n1 2 3 4\n", encoding="utf-8")
    items = list(open_inputs(path))
    assert read_pixel_texts(items) == [b"1 2 3 4"]
    path.unlink()
    with pytest.raises(InputError, match=r"cannot read .*faces.csv: No such file or directory"):
        read_pixel_texts(items)


def test_a_changed_csv_is_another(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path\na.png\n", encoding="utf-8")
    before = open_inputs(path).identity()
    assert open_inputs(path).identity() == before
    path.write_text("path\na.png\nb.png\n", encoding="utf-8")
    assert open_inputs(path).identity() != before


@pytest.mark.parametrize(
    ("name", "data", "kind", "message"),
    [
        pytest.param("none", None, InputError, "no such folder or csv", id="nothing"),
        pytest.param(
            "photo.jpg", b"x", UsageError, "expected a folder, a .csv or a .csv.gz; for one picture", id="jpg"
        ),
        pytest.param("a.csv", b"", InputError, "with the column path or pixels, found ''", id="empty"),
        pytest.param("a.csv", b"file,x\na,b\n", InputError, "found 'file, x'", id="no such column"),
        pytest.param("a.csv", b"path,x,x\na,b,c\n", InputError, "whose columns differ", id="a column twice"),
        pytest.param("a.csv", b"path\n", InputError, "expected rows below the header, found none", id="no rows"),
        pytest.param("a.csv", b"path\n\xff\n", InputError, "expected a csv in UTF-8", id="latin-1"),
        pytest.param("a.csv", b"pixels,x\n1,\xff\n", InputError, "expected a csv in UTF-8", id="latin-1 beside pixels"),
        pytest.param("a.csv", b'path\n"' + b"a" * 200_000, InputError, "field larger than", id="no end of quotes"),
        pytest.param("a.csv.gz", b"path\na\n", InputError, "cannot read .*a.csv.gz: ", id="not packed"),
        pytest.param(
            "a.csv.gz", gzip.compress(b"path\na\n")[:-9], InputError, "cannot read .*a.csv.gz", id="cut short"
        ),
    ],
)
def test_what_cannot_be_read(tmp_path, name, data, kind, message):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(kind, match=message):
        list(open_inputs(path))


def test_a_tree_without_pictures(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"no pictures in this folder or below; expected files named \.jpg"):
        open_inputs(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_found_at_once(tree):
    (tree / "c").chmod(0)
    with pytest.raises(InputError, match=r"cannot read the folder .*/c: Permission denied"):
        open_inputs(tree)


def test_a_header_that_goes_over_lines_is_refused(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('path,"two\nlines"\na.png,1\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot read .*list\.csv: unexpected end of data; expected a csv in UTF-8"):
        open_inputs(path)


def test_a_row_of_pixels_that_goes_over_lines_is_an_error_of_that_row(tmp_path):
    path = tmp_path / "faces.csv"
    path.write_text('pixels,note\n1 2 3 4,"two\nlines"\n"5 6 7 8",x\n', encoding="utf-8")
    first, second, third = open_inputs(path)
    assert first.problem == "cannot take the row apart: unexpected end of data; expected one line"
    assert second.problem == "expected 2 columns as in the header, found 1"
    assert (third.pixel_text, third.columns) == (b"5 6 7 8", {"note": "x"})
