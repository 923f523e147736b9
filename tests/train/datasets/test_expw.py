from __future__ import annotations

import cv2
import numpy as np
import pytest
from train.datasets.support import contents, lenient, options, pixels_of, save, strict

from fer_edge.errors import InputError
from fer_edge.preprocess import crop_square, face_pixels
from fer_edge_train.datasets import ReadOptions, read_dataset
from fer_edge_train.datasets.expw import list_expw, read_expw

PHOTO = pixels_of("photo", 60, 80)


def write_expw(folder, lines, where=("label.lst", "Images")):
    path = folder / where[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    for name in ("a.jpg", "b.jpg"):
        save(folder / where[1] / name, PHOTO if name == "a.jpg" else PHOTO[::-1])
    return path


@pytest.mark.parametrize(
    "where",
    [("label.lst", "Images"), ("label/label.lst", "image/origin"), ("data/label/label.lst", "data/image/origin")],
)
def test_boxes_are_top_left_right_bottom(tmp_path, where):
    write_expw(tmp_path, ["a.jpg 0 5 10 26 21 13.9 2", "a.jpg 1 40 50 66 56 1e-3 6", "b.jpg 0 0 0 16 16 -7.1 0"], where)
    faces = read_expw(tmp_path, options(), strict())["all"]
    assert contents(faces) == [("fear", "a.jpg face 0"), ("neutral", "a.jpg face 1"), ("angry", "b.jpg face 0")]
    expected = [PHOTO[5:21, 10:26], PHOTO[40:56, 50:66], PHOTO[::-1][0:16, 0:16]]
    np.testing.assert_array_equal(faces.images[..., 0], expected)


def test_the_margin_widens_the_square(tmp_path):
    write_expw(tmp_path, ["a.jpg 0 10 20 40 40 1 3"])
    faces = read_expw(tmp_path, options(margin=0.6), strict())["all"]
    # The box is 20 wide and 30 tall, its centre (30, 25): the side is 48.
    np.testing.assert_array_equal(faces.images[0], face_pixels(PHOTO[1:49, 6:54], (16, 16), 1))


def test_rows_are_listed_without_opening_photos(tmp_path):
    write_expw(tmp_path, ["a.jpg 3 5 10 26 21 13.9 2"])
    (tmp_path / "Images" / "a.jpg").write_text("no picture")
    (face,) = list_expw(tmp_path, strict())
    assert (face.path, face.face_id, face.box_xyxy, face.label) == (
        tmp_path / "Images" / "a.jpg",
        3,
        (10, 5, 26, 21),
        "fear",
    )


COLUMNS = "name face_id top left right bottom confidence label"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg 1 5 10 26 21 2", f"row 2: expected 8 columns ({COLUMNS}), found 7"),
        ("a b.jpg 1 5 10 26 21 1 2", f"row 2: expected 8 columns ({COLUMNS}), found 9"),
        ("../a.jpg 1 5 10 26 21 1 2", "row 2, column name: expected the name of a file, found '../a.jpg'"),
        ("a.jpg x 5 10 26 21 1 2", "row 2, column face_id: expected an integer of up to 6 digits, found 'x'"),
        ("a.jpg 1 5.5 10 26 21 1 2", "row 2, column top: expected an integer of up to 6 digits, found '5.5'"),
        ("a.jpg 1 5 10 26 1234567 1 2", "row 2, column bottom: expected an integer of up to 6 digits, found '1234567'"),
        ("a.jpg 1 5 10 26 21 high 2", "row 2, column confidence: expected a number, found 'high'"),
        ("a.jpg 1 5 10 26 21 1 7", "row 2, column label: expected an integer from 0 to 6, found '7'"),
        ("a.jpg 1 5 10 26 21 1 -1", "row 2, column label: expected an integer from 0 to 6, found '-1'"),
        (
            "a.jpg 1 5 26 10 21 1 2",
            "row 2: expected a box with left < right and top < bottom, found left 26, top 5, right 10, bottom 21",
        ),
        ("a.jpg 0 5 10 26 21 1 2", "row 2 names face 0 of a.jpg a second time"),
    ],
)
def test_a_malformed_row_is_named_or_counted(tmp_path, line, message):
    path = write_expw(tmp_path, ["a.jpg 0 5 10 26 21 13.9 2", line])
    with pytest.raises(InputError) as caught:
        read_expw(tmp_path, options(), strict())
    assert str(caught.value) == f"{path}: {message}"
    skipped = lenient()
    assert len(read_expw(tmp_path, options(), skipped)["all"]) == 1
    assert skipped.examples == [f"{path}: {message}"]


def test_a_missing_photo_is_named_with_its_row(tmp_path):
    path = write_expw(tmp_path, ["a.jpg 0 5 10 26 21 13.9 2", "c.jpg 0 5 10 26 21 13.9 2"])
    with pytest.raises(InputError) as caught:
        read_expw(tmp_path, options(), strict())
    assert str(caught.value) == f"{path}: row 2 names {tmp_path}/Images/c.jpg, which does not exist"


@pytest.mark.parametrize(
    ("corners", "found"),
    [
        ("5 80 96 21", "left 80, top 5, right 96, bottom 21"),
        ("-20 10 26 0", "left 10, top -20, right 26, bottom 0"),
        ("5 10 999999 21", "left 10, top 5, right 999999, bottom 21"),
    ],
    ids=["right of the photo", "above the photo", "huge"],
)
def test_a_box_that_is_not_on_the_photo_is_refused_or_counted(tmp_path, corners, found):
    write_expw(tmp_path, ["a.jpg 0 5 10 26 21 13.9 2", f"a.jpg 1 {corners} 1 2", "a.jpg 2 -4 -3 16 16 1 2"])
    message = f"{tmp_path}/Images/a.jpg: face 1: expected a box on the photo of 80 x 60 pixels, found {found}"
    with pytest.raises(InputError) as caught:
        read_expw(tmp_path, options(), strict())
    assert str(caught.value) == message
    skipped = lenient()
    assert read_expw(tmp_path, options(), skipped)["all"].sources.tolist() == ["a.jpg face 0", "a.jpg face 2"]
    assert skipped.examples == [message]


def test_a_photo_that_cannot_be_read_spoils_each_of_its_faces(tmp_path):
    write_expw(tmp_path, ["a.jpg 0 5 10 26 21 13.9 2", "a.jpg 1 5 10 26 21 13.9 2", "b.jpg 0 5 10 26 21 13.9 2"])
    (tmp_path / "Images" / "a.jpg").write_text("no picture")
    skipped = lenient()
    assert read_expw(tmp_path, options(), skipped)["all"].sources.tolist() == ["b.jpg face 0"]
    assert skipped.n_bad == 2


@pytest.mark.parametrize(
    ("missing", "what"), [("label.lst", "the list label.lst"), ("Images", "the folder image/origin or Images")]
)
def test_a_missing_half_is_named(tmp_path, missing, what):
    write_expw(tmp_path, ["a.jpg 0 5 10 26 21 13.9 2"])
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError) as caught:
        read_expw(tmp_path, options(), strict())
    assert str(caught.value) == f"{tmp_path}: expected {what} of ExpW in it, found none"


@pytest.mark.data
def test_the_published_part(data_folder):
    dataset = read_dataset(data_folder / "expw_dev", ReadOptions(size_px=48, channels=1, margin=0.1))
    assert dataset.name == "expw"
    faces = dataset.split("all")
    assert len(faces) == 762
    assert faces.class_counts().tolist() == [105, 111, 101, 110, 108, 107, 120]
    assert len({source.split(" face ")[0] for source in faces.sources}) == 698
    assert dataset.skipped.to_text() == ""
    # The list's second row: angry_actor_18.jpg 0 0 224 761 537 47.0127 0.
    assert faces.source(1) == "angry_actor_18.jpg face 0"
    photo = cv2.imread(str(data_folder / "expw_dev" / "Images" / "angry_actor_18.jpg"))
    face = crop_square(photo, np.array([224, 0, 761, 537], dtype=np.float32), 0.1)
    np.testing.assert_array_equal(faces.images[1], face_pixels(face, (48, 48), 1))
