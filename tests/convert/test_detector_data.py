"""Photos that calibrate and photos that are measured on, each kept out of the other's part."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, UsageError
from fer_edge_convert import detector_data
from fer_edge_convert.detector_data import read_detector_data
from fer_edge_train.labelled_photos import part_of_photo

pytestmark = pytest.mark.host


def write_photo(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert import_cv2().imwrite(str(path), np.full((8, 9, 3), value, np.uint8))
    return path


def write_annotations(folder, names, n_faces=2):
    lines = []
    for name in names:
        lines += [name, str(n_faces), *["1 2 30 40 0 0 0 0 0 0"] * n_faces]
    path = folder / "gt.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def few_faces_will_do(monkeypatch):
    monkeypatch.setattr(detector_data, "MIN_MEASURED_FACES", 1)


@pytest.fixture
def photos(tmp_path):
    """40 photos in two folders; about half of the names calibrate."""
    for number in range(40):
        write_photo(tmp_path / "photos" / ("a" if number % 2 else "b") / f"{number}.png", number)
    (tmp_path / "photos" / "notes.txt").write_text("no photo")
    return tmp_path / "photos"


@pytest.fixture
def annotations(tmp_path):
    write_photo(tmp_path / "wider" / "images" / "party" / "1.jpg", 200)
    return write_annotations(tmp_path / "wider", ["party/1.jpg"])


def test_the_part_that_calibrates_is_used_alone(few_faces_will_do, photos, annotations):
    data = read_detector_data(photos, annotations, seed=1)
    names = {path.name for path in data.calibration}
    assert names == {f"{number}.png" for number in range(40) if part_of_photo(f"{number}.png") == "fit"}
    assert 5 < len(names) < 35
    assert [photo[0, 0, 0] for photo in data.calibration_photos()] == [int(path.stem) for path in data.calibration]
    assert data.read(data.measured[0]).shape == (8, 9, 3)
    assert data.to_json()["measured"]["faces"] == 2
    assert data.to_json()["calibration"] == {"folder": "photos", "photos": len(names)}


def test_of_many_photos_some_are_drawn_by_the_seed(few_faces_will_do, monkeypatch, photos, annotations):
    monkeypatch.setattr(detector_data, "_MAX_CALIBRATION_PHOTOS", 6)
    first, again, other = (read_detector_data(photos, annotations, seed=seed).calibration for seed in (1, 1, 2))
    assert len(first) == len(set(first)) == 6
    assert first == again
    assert first != other


def test_a_photo_on_both_sides_is_refused(few_faces_will_do, photos, annotations):
    data = read_detector_data(photos, annotations, seed=1)
    twin = annotations.parent / "images" / "party" / "1.jpg"
    twin.write_bytes(data.calibration[3].read_bytes())
    with pytest.raises(InputError, match=r"expected different photos to calibrate and to measure on, found the same"):
        read_detector_data(photos, annotations, seed=1)


def test_missing_photos_are_named(few_faces_will_do, photos, annotations):
    write_annotations(annotations.parent, ["party/1.jpg", "party/2.jpg", "party/3.jpg"])
    with pytest.raises(InputError, match=r"found 2 of them missing, the first party/2\.jpg"):
        read_detector_data(photos, annotations, seed=1)


def test_too_few_faces_judge_nothing(photos, annotations):
    with pytest.raises(UsageError, match="expected at least 1000 labelled faces, found 2: too few"):
        read_detector_data(photos, annotations, seed=1)


def test_a_folder_without_photos_is_refused(tmp_path, annotations):
    with pytest.raises(InputError, match="expected a folder of photos with faces, found none"):
        read_detector_data(tmp_path / "none", annotations, seed=1)
    name = next(f"{n}.jpg" for n in range(99) if part_of_photo(f"{n}.jpg") == "held-out")
    write_photo(tmp_path / "held-out" / name, 1)
    with pytest.raises(InputError, match="expected photos with faces to calibrate the detector, found 1, none of them"):
        read_detector_data(tmp_path / "held-out", annotations, seed=1)
