"""The pictures: eight different views with the face in each, or the user's."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import EmotionPipeline
from fer_edge.errors import InputError
from fer_edge.files import sha256_of_file
from fer_edge.images import read_image
from fer_edge_bench.load import read_load, write_default_load


def test_the_default_views_differ_and_hold_one_face_each(tmp_path: Path) -> None:
    load = write_default_load(tmp_path)
    assert [frame.identity.size_wh for frame in load] == [(640, 480)] * 8
    assert len({frame.identity.sha256 for frame in load}) == 8
    pipeline = EmotionPipeline()
    for frame in load:
        assert frame.path.parent == tmp_path
        assert (frame.identity.bytes, frame.identity.sha256) == (frame.path.stat().st_size, sha256_of_file(frame.path))
        faces = pipeline(read_image(frame.path))
        assert [face.emotion for face in faces] == ["happy"]


def test_photos_and_folders_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, width in (("b10.png", 10), ("b2.png", 20)):
        cv2.imwrite(str(folder / name), np.zeros((5, width, 3), np.uint8))
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    cv2.imwrite(str(tmp_path / "one.jpg"), np.zeros((7, 9, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    load = read_load([Path("one.jpg"), Path("photos")])
    assert [(frame.identity.name, frame.identity.size_wh) for frame in load] == [
        ("one.jpg", (9, 7)),
        ("b2.png", (20, 5)),
        ("b10.png", (10, 5)),
    ]
    assert all(frame.path.is_absolute() for frame in load)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("none.png", None, "no such file", id="missing"),
        pytest.param("text.png", b"not a picture", "not a picture", id="no picture"),
        pytest.param("empty", "folder", "no pictures in this folder", id="empty folder"),
    ],
)
def test_what_is_no_load(tmp_path: Path, name: str, content: bytes | str | None, message: str) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    with pytest.raises(InputError, match=message):
        read_load([path])
