from __future__ import annotations

import csv
import json
from collections import Counter

import cv2
import numpy as np
import pytest
from train.support import HEADER, csv_row, learnable_faces

from fer_edge.assets import demo_photo_path
from fer_edge.errors import InputError, MissingExtraError, OutputError, UsageError
from fer_edge.images import read_image
from fer_edge_train.datasets.reading import ReadOptions
from fer_edge_train.datasets.registry import read_dataset
from fer_edge_train.preparation import prepared_folder
from fer_edge_train.preparation.balancing import noisy_copy
from fer_edge_train.preparation.cleaning import CleaningOptions
from fer_edge_train.preparation.steps import PrepareOptions, prepare_to_folder


@pytest.fixture
def data(tmp_path):
    """Training: 12 angry, 5 disgust, 3 fear, one blank, one repeated; PublicTest: 4, one of them in Training too."""
    images, _ = learnable_faces(24, 5)
    labels = [0] * 12 + [1] * 5 + [2] * 3
    images[3] = 7
    images[5] = images[4]
    rows = [csv_row(label, image, "Training") for label, image in zip(labels, images, strict=False)]
    images[21] = images[6]
    rows += [csv_row(label, image, "PublicTest") for label, image in zip((0, 1, 1, 2), images[20:], strict=True)]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return path, images


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def prepare(data, out, *, force=False, **options):
    lines: list[str] = []
    record = prepare_to_folder(data, out, PrepareOptions(**options), force=force, tell=lines.append)
    return record, lines


def gray(path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def test_pictures_come_out_as_they_are_and_can_be_read_back(data, tmp_path):
    path, images = data
    record, _ = prepare(path, tmp_path / "out")
    np.testing.assert_array_equal(gray(tmp_path / "out" / "Training" / "angry" / "000004.png"), images[4])
    np.testing.assert_array_equal(gray(tmp_path / "out" / "PublicTest" / "fear" / "000023.png"), images[23])
    again = read_dataset(tmp_path / "out", ReadOptions(size_px=48, channels=1))
    assert {split: faces.class_counts().tolist()[:3] for split, faces in again.splits.items()} == {
        "PublicTest": [1, 2, 1],
        "Training": [12, 5, 3],
    }
    assert record["splits"]["Training"]["digest"] == record["read"]["digests"]["Training"]
    assert record["splits"]["Training"]["digest"] == again.splits["Training"].digest()
    assert json.loads((tmp_path / "out" / "record.json").read_text()) == record
    assert rows_of(tmp_path / "out" / "notes.csv") == []


def test_every_step_together(data, tmp_path):
    path, images = data
    record, lines = prepare(path, tmp_path / "out", clean=CleaningOptions(), max_factor=3, seed=4)
    out = tmp_path / "out"
    assert rows_of(out / "notes.csv") == [
        {"split": "Training", "label": "angry", "row": "3", "source": "row 4", "note": "constant", "same_as": ""},
        {
            "split": "Training",
            "label": "angry",
            "row": "5",
            "source": "row 6",
            "note": "duplicate",
            "same_as": "Training: row 5",
        },
        {
            "split": "Training",
            "label": "angry",
            "row": "6",
            "source": "row 7",
            "note": "in_other_split",
            "same_as": "PublicTest: row 22",
        },
    ]
    # 9 angry are left, so 5 disgust stay as they are, and 3 fear become 9.
    faces = rows_of(out / "faces.csv")
    assert Counter((face["split"], face["label"], face["copy"]) for face in faces) == {
        ("Training", "angry", "0"): 9,
        ("Training", "disgust", "0"): 5,
        ("Training", "fear", "0"): 3,
        ("Training", "fear", "1"): 3,
        ("Training", "fear", "2"): 3,
        ("PublicTest", "angry", "0"): 1,
        ("PublicTest", "disgust", "0"): 2,
        ("PublicTest", "fear", "0"): 1,
    }
    copy = out / "Training" / "fear" / "000018_copy2.png"
    expected = noisy_copy(images[18][..., np.newaxis], seed=4, row=18, copy_number=2)
    np.testing.assert_array_equal(gray(copy), expected[..., 0])
    assert {"file": "Training/fear/000018_copy2.png", "source": "row 19", "row": "18"}.items() <= next(
        face for face in faces if face["file"].endswith("18_copy2.png")
    ).items()
    assert len(list(out.rglob("*.png"))) == len(faces) == 27
    assert record["balancing"]["factors"] == {
        "angry": 1, "disgust": 1, "fear": 3, "happy": 1, "sad": 1, "surprise": 1, "neutral": 1,
    }  # fmt: skip
    assert record["cleaning"]["training_pictures_in_other_splits"] == {"PublicTest": 1}
    assert record["options"]["clean"] == {"near_constant_std": 3.0, "conflicts": "drop"}
    assert record["source"]["file_name"] == "fer2013.csv"
    assert str(tmp_path) not in json.dumps(record)
    assert lines == [
        "read: 20 Training, 4 PublicTest",
        "clean: 1 constant, 0 near_constant, 1 in_other_split, 0 conflicting_duplicate, 1 duplicate "
        "left out of Training",
        "balance: 6 noisy copies in Training",
    ]


def test_the_same_command_makes_the_same_files(data, tmp_path):
    for name in ("a", "b"):
        prepare(data[0], tmp_path / name, clean=CleaningOptions(), held_out_fraction=0.2, max_factor=3)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 20
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_what_is_held_out_has_no_copy_in_training(data, tmp_path):
    record, _ = prepare(data[0], tmp_path / "out", held_out_fraction=0.34, max_factor=3)
    faces = rows_of(tmp_path / "out" / "faces.csv")
    rows = {split: {face["row"] for face in faces if face["split"] == split} for split in record["splits"]}
    assert len(rows["validation"]) == record["splits"]["validation"]["pictures"] >= 7
    assert rows["validation"].isdisjoint(rows["Training"])
    assert all(face["copy"] == "0" for face in faces if face["split"] != "Training")


def test_an_undivided_set_is_not_balanced_before_it_is_split(tmp_path):
    images, _ = learnable_faces(6, 1)
    for i, image in enumerate(images):
        folder = tmp_path / "d" / ("happy" if i < 4 else "sad")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    with pytest.raises(UsageError, match="it must come after the split, or near copies land in training and test"):
        prepare(tmp_path / "d", tmp_path / "out", max_factor=2)
    assert not (tmp_path / "out").exists()
    record, _ = prepare(tmp_path / "d", tmp_path / "out", max_factor=2, held_out_fraction=0.5)
    assert record["splits"]["validation"]["pictures"] == 3
    assert record["splits"]["train"]["classes"]["sad"] == 2


def test_a_photo_is_cropped_by_the_runtimes_detector(tmp_path):
    photo = read_image(demo_photo_path())
    for name, image in {"happy/1.png": photo, "happy/2.png": photo[300:, :200]}.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "d" / name), image)
    try:
        record, lines = prepare(tmp_path / "d", tmp_path / "out", crop="mtcnn", channels=3, size_px=64)
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert lines == ["read: 1 train; without a face and left out: 1 train; with several faces, the largest taken: 0"]
    assert record["read"]["without_face"] == 1
    assert [note["source"] for note in rows_of(tmp_path / "out" / "notes.csv")] == ["happy/2.png"]
    face = read_image(tmp_path / "out" / "train" / "happy" / "000000.png")
    assert face.shape == (64, 64, 3)
    expected = cv2.resize(photo[68:167, 173:272], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(face.ravel(), expected.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("existing", ["a prepared folder", "a model folder", "another folder"])
def test_nothing_is_replaced_unasked(data, tmp_path, existing):
    out = tmp_path / "out"
    out.mkdir()
    name = {"a prepared folder": "faces.csv", "a model folder": "record.json", "another folder": "thesis.txt"}[existing]
    (out / name).write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        prepare(data[0], out)
    if existing == "a prepared folder":
        prepare(data[0], out, force=True)
        assert (out / "record.json").exists()
    else:
        with pytest.raises(UsageError, match=r"--force replaces a folder with faces\.csv"):
            prepare(data[0], out, force=True)


def test_a_part_too_small_to_hold_out_anything_is_refused(data, tmp_path):
    with pytest.raises(
        UsageError, match=r"expected some pictures to hold out, found none in a part of 0\.001 of 20; raise"
    ):
        prepare(data[0], tmp_path / "out", held_out_fraction=0.001)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing_half_written(data, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared_folder, "_write_csv", full)
    with pytest.raises(OutputError, match=r"cannot write .*out: No space left on device"):
        prepare(data[0], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fer2013.csv"]


def test_two_faces_of_one_row_are_refused(tmp_path):
    from fer_edge_train.datasets import FaceSet

    faces = FaceSet(
        images=np.zeros((2, 8, 8, 1), np.uint8),
        label_indices=np.zeros(2, np.int64),
        labels=("a",),
        rows=np.array([4, 4]),
    )
    with pytest.raises(InputError, match=r"train: expected one face for each row, found two of row 4 \(row 5\)"):
        prepared_folder.write_prepared(tmp_path / "out", {"train": faces}, copy_numbers={}, notes=[], record={})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "yunet"}, "crop: expected one of none, haar, mtcnn, found 'yunet'"),
        ({"keep_without_face": True}, "needs a crop that looks for one: haar or mtcnn"),
        ({"channels": 2}, r"channels: expected 1 \(gray\) or 3 \(colour\), found 2"),
        ({"size_px": 4}, "size_px: expected 8 to 1024, found 4"),
        ({"held_out_fraction": 0.9}, r"held_out_fraction: expected 0 to 0\.5, found 0\.9"),
        ({"max_factor": 5}, "max_factor: expected 1 to 3, found 5"),
        ({"noise_variance": -1.0}, "noise_variance: expected 0 to 10000, found -1"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, found -1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UsageError, match=message):
        PrepareOptions(**options)


def test_a_validation_split_that_is_there_is_not_made_again(tmp_path):
    images, _ = learnable_faces(4, 1)
    for split, image in zip(("train", "validation"), images, strict=False):
        (tmp_path / "d" / split / "happy").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "d" / split / "happy" / "1.png"), image)
    with pytest.raises(UsageError, match="the data has a split validation already"):
        prepare(tmp_path / "d", tmp_path / "out", held_out_fraction=0.5)
