from __future__ import annotations

import cv2
import numpy as np
import pytest
from train.support import csv_row, learnable_faces

from fer_edge.errors import InputError, UsageError
from fer_edge_train.preparation.crop import FaceCropper
from fer_edge_train.preparation.source import PictureWithoutFace, read_source


class BrightCropper(FaceCropper):
    """A face is where the picture is bright; two faces in pictures that have a second, smaller bright place."""

    name, margin = "bright", 0.0

    def _find(self, image, min_face_px):
        gray = image if image.ndim == 2 else image[..., 0]
        n, _, stats, _ = cv2.connectedComponentsWithStats((gray > 128).astype(np.uint8))
        return np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:n]], np.float32).reshape(-1, 4)


def scene(*boxes_xywh, size=(192, 256)) -> np.ndarray:
    image = np.full((*size, 3), 20, np.uint8)
    for x, y, w, h in boxes_xywh:
        image[y : y + h, x : x + w] = 200
    return image


def write_pictures(folder, pictures) -> None:
    for name, image in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)


@pytest.fixture
def scenes(tmp_path):
    """Splits of photos: with a face, without, with two."""
    folder = tmp_path / "scenes"
    write_pictures(
        folder,
        {
            "train/happy/1.png": scene((40, 30, 64, 64)),
            "train/happy/2.png": scene(),
            "train/sad/3.png": scene((10, 10, 32, 32), (100, 60, 96, 96)),
            "test/happy/4.png": scene((0, 0, 48, 48)),
            "test/sad/5.png": scene((150, 100, 80, 80)),
        },
    )
    return folder


def test_faces_are_cut_out_and_pictures_without_one_are_left_out_and_listed(scenes):
    read = read_source(scenes, size_px=48, channels=1, cropper=BrightCropper())
    assert list(read.sets) == ["test", "train"]
    assert read.training == "train"
    assert read.is_split
    assert (read.sets["train"].images > 128).all()
    assert read.sets["train"].images.shape == (2, 48, 48, 1)
    assert read.sets["train"].sources.tolist() == ["train/happy/1.png", "train/sad/3.png"]
    assert len(read.sets["test"]) == 2
    assert read.without_face == (PictureWithoutFace(split="train", label="happy", row=1, source="train/happy/2.png"),)
    assert read.n_several == 1


def test_pictures_without_a_face_can_be_kept(scenes):
    read = read_source(scenes, size_px=48, channels=3, cropper=BrightCropper(), keep_without_face=True)
    assert read.sets["train"].images.shape == (3, 48, 48, 3)
    assert (read.sets["train"].images[1] == 20).all()
    assert [item.source for item in read.without_face] == ["train/happy/2.png"]


def test_a_kept_picture_is_the_largest_centred_square(tmp_path):
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 90
    write_pictures(tmp_path / "d", {"happy/1.png": wide, "happy/2.png": scene((40, 30, 64, 64))})
    read = read_source(tmp_path / "d", size_px=40, channels=1, cropper=BrightCropper(), keep_without_face=True)
    assert (read.sets["train"].images[0] == 90).all()


def test_unreadable_files_do_not_shift_what_was_found(scenes):
    (scenes / "train" / "happy" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0\.png: not a picture"):
        read_source(scenes, size_px=48, channels=1, cropper=BrightCropper())
    read = read_source(scenes, size_px=48, channels=1, cropper=BrightCropper(), skip_bad=True)
    assert [item.source for item in read.without_face] == ["train/happy/2.png"]
    assert read.stated["skipped"]["bad"] == 1
    assert len(read.sets["train"]) == 2


def test_a_split_without_any_face_is_an_error(scenes):
    for path in (scenes / "test").rglob("*.png"):
        cv2.imwrite(str(path), scene())
    with pytest.raises(InputError, match="test: expected a face in some of 2 pictures, found none in any"):
        read_source(scenes, size_px=48, channels=1, cropper=BrightCropper())


def test_an_undivided_set_is_training(tmp_path):
    write_pictures(tmp_path / "d", {"happy/1.png": scene((40, 30, 64, 64)), "happy/2.png": scene()})
    read = read_source(tmp_path / "d", size_px=48, channels=1, cropper=BrightCropper())
    assert list(read.sets) == ["train"]
    assert not read.is_split
    assert [(item.split, item.source) for item in read.without_face] == [("train", "happy/2.png")]


def test_splits_without_training(tmp_path):
    write_pictures(tmp_path / "d", {"val/happy/1.png": scene(), "test/happy/2.png": scene((1, 1, 50, 50))})
    with pytest.raises(InputError, match="expected a split named training or train, found test, val"):
        read_source(tmp_path / "d", size_px=48, channels=1)


def test_fer2013_is_read_whole_and_is_not_cropped_again(write_csv):
    images, labels = learnable_faces(14, 1)
    rows = [
        csv_row(label, image, "Training" if i < 7 else "PublicTest")
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    path = write_csv(rows)
    read = read_source(path, size_px=48, channels=1)
    assert read.training == "Training"
    np.testing.assert_array_equal(read.sets["PublicTest"].images[..., 0], images[7:])
    assert read.stated["name"] == "FER-2013"
    assert read.stated["file_name"] == "fer2013.csv"
    assert str(path.parent) not in str(read.stated)
    with pytest.raises(UsageError, match="FER-2013: its faces are cut out already; leave the crop away"):
        read_source(path, size_px=48, channels=1, cropper=BrightCropper())
