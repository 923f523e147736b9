from __future__ import annotations

import hashlib

import pytest

from fer_edge.errors import InputError
from fer_edge_train.labelled_photos import PHOTO_LABELS, part_of_photo, photos_of_part, read_labelled_photos


def write_listing(folder, *lines):
    (folder / "label.lst").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder


def test_faces_are_gathered_by_photo(tmp_path):
    folder = write_listing(
        tmp_path,
        "b.jpg 0 10 20 110 100 13.9434 2",
        "a man smiling.jpg 0 1 2 3 4 -0.5 3",
        "",
        "b.jpg 4 5 6 17 18 1e2 6",
    )
    first, second = read_labelled_photos(folder)
    assert (first.name, first.path) == ("b.jpg", folder / "Images" / "b.jpg")
    # The columns are top, left, right, bottom.
    assert first.boxes_xyxy.tolist() == [[20, 10, 110, 100], [6, 5, 17, 18]]
    assert first.boxes_xyxy.dtype == "float32"
    assert first.label_indices.tolist() == [2, 6]
    assert [PHOTO_LABELS[i] for i in first.label_indices] == ["fear", "neutral"]
    assert second.name == "a man smiling.jpg"
    assert second.boxes_xyxy.tolist() == [[2, 1, 3, 4]]


GOOD = "a.jpg 0 10 20 110 100 13.9 2"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("a.jpg 0 10 20 110 100 13.9", "expected 8 columns (name face_id top", id="column missing"),
        pytest.param("b.jpg 0 x 20 110 100 1 2", "column top: expected a whole number from 0 to", id="no number"),
        pytest.param("b.jpg 0 10 -3 110 100 1 2", "column left: expected a whole number", id="negative"),
        pytest.param("b.jpg 0 10 20 1e9 100 1 2", "column right: expected a whole number", id="no whole number"),
        pytest.param(f"b.jpg 0 10 20 110 {'9' * 5000} 1 2", "column bottom: expected a whole number", id="huge"),
        pytest.param("b.jpg 0 10 20 20 100 1 2", "column right: expected more than left (20), found '20'", id="width"),
        pytest.param("b.jpg 0 10 20 30 9 1 2", "column bottom: expected more than top (10), found '9'", id="height"),
        pytest.param("b.jpg 0 10 20 110 100 sure 2", "column confidence: expected a number, found 'sure'", id="text"),
        pytest.param("b.jpg 0 10 20 110 100 nan 2", "column confidence: expected a number", id="nan"),
        pytest.param(
            "b.jpg 0 10 20 110 100 1 7", "column label: expected a whole number from 0 to 6, found '7'", id="label"
        ),
        pytest.param("a.jpg 0 1 2 3 4 1 2", "column face_id: expected each face of a.jpg once, found 0", id="twice"),
        pytest.param("../a.jpg 0 1 2 3 4 1 2", "column name: expected the name of a file in Images/", id="elsewhere"),
        pytest.param(".. 0 1 2 3 4 1 2", "column name: expected the name of a file in Images/", id="folder above"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, row, message):
    folder = write_listing(tmp_path, GOOD, row)
    with pytest.raises(InputError) as caught:
        read_labelled_photos(folder)
    assert str(caught.value).startswith(f"{folder / 'label.lst'}: row 2")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_list_is_refused(tmp_path, content):
    (tmp_path / "label.lst").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"label\.lst: expected a row for each labelled face, found none$"):
        read_labelled_photos(tmp_path)


def test_no_list(tmp_path):
    with pytest.raises(InputError, match=r"No such file or directory; expected a folder with label\.lst and Images/$"):
        read_labelled_photos(tmp_path)


def test_a_list_that_is_no_text(tmp_path):
    (tmp_path / "label.lst").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="it is not UTF-8 text"):
        read_labelled_photos(tmp_path)


def test_the_parts_are_fixed_by_the_name(tmp_path):
    names = [f"photo_{i}.jpg" for i in range(200)]
    folder = write_listing(tmp_path, *(f"{name} 0 1 2 3 4 1 2" for name in names))
    photos = read_labelled_photos(folder)
    fit, held_out = ({photo.name for photo in photos_of_part(photos, part)} for part in ("fit", "held-out"))
    assert fit == {n for n in names if hashlib.sha256(b"fer-edge/1/" + n.encode()).hexdigest() < "8"}
    assert held_out == set(names) - fit
    assert 70 < len(fit) < 130
    assert photos_of_part(photos, "all") == photos
    # A change of the rule would mix what was seen with what was not.
    assert [part_of_photo(f"{c}.jpg") for c in "abcdefgh"] == [
        "held-out",
        "held-out",
        "held-out",
        "fit",
        "held-out",
        "held-out",
        "fit",
        "held-out",
    ]


@pytest.mark.data
def test_the_development_photos_are_divided_into_halves(data_folder):
    photos = read_labelled_photos(data_folder / "expw_dev")
    assert (len(photos), sum(len(photo.label_indices) for photo in photos)) == (698, 762)
    fit, held_out = photos_of_part(photos, "fit"), photos_of_part(photos, "held-out")
    assert (len(fit), len(held_out)) == (368, 330)
    assert not {photo.name for photo in fit} & {photo.name for photo in held_out}
