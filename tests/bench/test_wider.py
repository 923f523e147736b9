"""WIDER FACE's annotation text becomes typed photos and faces, and broken text says which line is wrong."""

import os
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_bench.wider import WiderFace, WiderPhoto, read_wider

TWO_PHOTOS = """0--Parade/a.jpg
2
109 81 18 45 1 0 1 0 2 1
403 112 97 130 0 1 0 1 0 0
1--Handshaking/b.jpg
1
5 6 7 8 0 0 0 0 0 0
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "truth.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_become_fields(tmp_path: Path) -> None:
    first, second = read_wider(write(tmp_path, TWO_PHOTOS))
    assert first.name == "0--Parade/a.jpg"
    assert first.faces == (
        WiderFace(box_xywh=(109, 81, 18, 45), blur=1, expression=0, illumination=1, invalid=False, occlusion=2, pose=1),
        WiderFace(
            box_xywh=(403, 112, 97, 130), blur=0, expression=1, illumination=0, invalid=True, occlusion=0, pose=0
        ),
    )
    assert second == WiderPhoto(name="1--Handshaking/b.jpg", faces=(WiderFace(box_xywh=(5, 6, 7, 8)),))


def test_boxes_are_corners_and_invalid_is_per_face(tmp_path: Path) -> None:
    photo = read_wider(write(tmp_path, TWO_PHOTOS))[0]
    np.testing.assert_array_equal(photo.boxes_xyxy(), [[109.0, 81.0, 127.0, 126.0], [403.0, 112.0, 500.0, 242.0]])
    np.testing.assert_array_equal(photo.invalid(), [False, True])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a.jpg\n0\n0 0 0 0 0 0 0 0 0 0 \nb.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n", id="official line of zeros"),
        pytest.param("a.jpg\n0\nb.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n", id="no line of zeros"),
        pytest.param("a.jpg\r\n0\r\nb.jpg\r\n1\r\n1 2 3 4 0 0 0 0 0 0\r\n\r\n", id="other line ends, blank end"),
    ],
)
def test_a_photo_without_faces(tmp_path: Path, text: str) -> None:
    empty, other = read_wider(write(tmp_path, text))
    assert empty == WiderPhoto(name="a.jpg", faces=())
    assert empty.boxes_xyxy().shape == (0, 4)
    assert empty.invalid().shape == (0,)
    assert other.faces[0].box_xywh == (1, 2, 3, 4)


def test_a_last_photo_without_faces(tmp_path: Path) -> None:
    assert read_wider(write(tmp_path, "a.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n")) == (WiderPhoto(name="a.jpg", faces=()),)


def test_a_face_of_size_zero_is_kept(tmp_path: Path) -> None:
    (photo,) = read_wider(write(tmp_path, "a.jpg\n1\n0 0 0 0 0 0 0 0 0 0\n"))
    assert photo.faces == (WiderFace(box_xywh=(0, 0, 0, 0)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "expected WIDER FACE's annotations, found no line", id="empty"),
        pytest.param(
            "a.txt\n0\n", "line 1: expected a photo's relative path that ends in .jpg, found 'a.txt'", id="name"
        ),
        pytest.param("/etc/a.jpg\n0\n", "line 1: expected a photo's relative path", id="absolute"),
        pytest.param("../a.jpg\n0\n", "line 1: expected a photo's relative path", id="climbing"),
        pytest.param("a.jpg\nmany\n", "line 2: expected the number of faces in a.jpg, found 'many'", id="count"),
        pytest.param("a.jpg\n-1\n", "line 2: expected the number of faces in a.jpg, found '-1'", id="negative count"),
        pytest.param("a.jpg\n", "line 1: expected the number of faces in a.jpg after it, found the end", id="no count"),
        pytest.param(
            "a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n",
            "line 3: expected face 2 of 2 of a.jpg after it, found the end",
            id="too few faces",
        ),
        pytest.param(
            "a.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n5 6 7 8 0 0 0 0 0 0\n",
            "line 4: expected a photo's relative path that ends in .jpg, found '5 6 7 8 0 0 0 0 0 0'",
            id="too many faces",
        ),
        pytest.param("a.jpg\n1\n1 2 3 4\n", "line 3: expected face 1 of 1 of a.jpg as ten integers", id="columns"),
        pytest.param("a.jpg\n1\n1 2 3 4.5 0 0 0 0 0 0\n", "line 3: expected face 1 of 1 of a.jpg as ten", id="float"),
        pytest.param(
            "a.jpg\n1\n1 2 -3 4 0 0 0 0 0 0\n",
            "line 3: expected width and height of at least 0, found -3 x 4",
            id="width",
        ),
        pytest.param("a.jpg\n1\n1 2 3 4 3 0 0 0 0 0\n", "line 3: expected blur of 0 to 2, found 3", id="blur"),
        pytest.param("a.jpg\n1\n1 2 3 4 0 0 0 2 0 0\n", "line 3: expected invalid of 0 to 1, found 2", id="invalid"),
        pytest.param(
            "a.jpg\n0\na.jpg\n0\n", "line 4: expected a photo that was not listed before, found a.jpg", id="twice"
        ),
    ],
)
def test_broken_text_names_the_file_and_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as raised:
        read_wider(path)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_what_is_no_text_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "truth.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="expected WIDER FACE's annotations as text"):
        read_wider(path)


@pytest.mark.data
@pytest.mark.skipif("FER_EDGE_DATA" not in os.environ, reason="FER_EDGE_DATA does not name the development data")
def test_the_validation_subset() -> None:
    folder = Path(os.environ["FER_EDGE_DATA"]) / "wider_face"
    photos = read_wider(folder / "wider_face_val_subset_bbx_gt.txt")
    sides = np.concatenate([photo.boxes_xyxy()[:, 2:] - photo.boxes_xyxy()[:, :2] for photo in photos]).min(axis=1)
    invalid = np.concatenate([photo.invalid() for photo in photos])
    # Photos and boxes as the data's own README counts them; the other two as awk counts them.
    assert (len(photos), len(sides), int(invalid.sum()), int(((sides >= 30) & ~invalid).sum())) == (427, 4235, 51, 1216)
    assert [photo.name for photo in photos if not (folder / "images" / photo.name).is_file()] == []
