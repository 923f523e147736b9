from __future__ import annotations

import numpy as np
import pytest
from train.datasets.support import contents, lenient, options, pixels_of, save, strict

from fer_edge.errors import InputError
from fer_edge_train.datasets.raf_db import read_raf_db

LABELS = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")


def write_raf(folder, lines, where=("", "aligned")):
    lists, images = where
    (folder / lists).mkdir(parents=True, exist_ok=True)
    (folder / lists / "list_patition_label.txt").write_text("\n".join([*lines, ""]))
    for line in lines:
        save(folder / images / f"{line.split('.')[0]}_aligned.jpg")


@pytest.mark.parametrize(
    "where", [("", "aligned"), ("EmoLabel", "Image/aligned"), ("basic/EmoLabel", "basic/Image/aligned")]
)
def test_labels_and_splits_are_those_of_the_list(tmp_path, where):
    lines = [f"train_{i:05d}.jpg {i}" for i in range(1, 8)] + ["test_0001.jpg 4", "test_0002.jpg 7"]
    write_raf(tmp_path, lines, where)
    sets = read_raf_db(tmp_path, options(), strict())
    assert list(sets) == ["train", "test"]
    train = [f"train_{i:05d}_aligned.jpg" for i in range(1, 8)]
    assert contents(sets["train"]) == list(zip(LABELS, train, strict=True))
    assert contents(sets["test"]) == [("happy", "test_0001_aligned.jpg"), ("neutral", "test_0002_aligned.jpg")]
    np.testing.assert_array_equal(sets["train"].images[..., 0], [pixels_of(name) for name in train])
    assert sets["train"].subjects is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00002.jpg", "row 2: expected 2 columns (name label), found 1"),
        ("train_00002.jpg 1 2", "row 2: expected 2 columns (name label), found 3"),
        ("train_00002.jpg 0", "row 2, column label: expected an integer from 1 to 7, found '0'"),
        ("train_00002.jpg 8", "row 2, column label: expected an integer from 1 to 7, found '8'"),
        ("train_00002.jpg happy", "row 2, column label: expected an integer from 1 to 7, found 'happy'"),
        ("other_00002.jpg 1", "row 2, column name: expected one like train_00001.jpg, found 'other_00002.jpg'"),
        ("../train_00002.jpg 1", "row 2, column name: expected one like train_00001.jpg, found '../train_00002.jpg'"),
        ("train_00001.jpg 1", "row 2 names train_00001.jpg a second time"),
    ],
)
def test_a_malformed_row_is_named_or_counted(tmp_path, line, message):
    write_raf(tmp_path, ["train_00001.jpg 5", "test_0001.jpg 5"])
    list_path = tmp_path / "list_patition_label.txt"
    list_path.write_text(f"train_00001.jpg 5\n{line}\ntest_0001.jpg 5\n")
    with pytest.raises(InputError) as caught:
        read_raf_db(tmp_path, options(), strict())
    assert str(caught.value) == f"{list_path}: {message}"
    skipped = lenient()
    assert {name: len(faces) for name, faces in read_raf_db(tmp_path, options(), skipped).items()} == {
        "train": 1,
        "test": 1,
    }
    assert skipped.examples == [f"{list_path}: {message}"]


def test_a_missing_picture_is_named_with_its_row(tmp_path):
    write_raf(tmp_path, ["train_00001.jpg 5", "test_0001.jpg 5"])
    (tmp_path / "aligned" / "test_0001_aligned.jpg").unlink()
    with pytest.raises(InputError) as caught:
        read_raf_db(tmp_path, options(), strict())
    assert str(caught.value) == (
        f"{tmp_path}/list_patition_label.txt: row 2 names {tmp_path}/aligned/test_0001_aligned.jpg, "
        "which does not exist"
    )


@pytest.mark.parametrize(
    ("missing", "what"), [("list_patition_label.txt", "list list_patition_label.txt"), ("aligned", "folder aligned")]
)
def test_a_missing_half_is_named(tmp_path, missing, what):
    write_raf(tmp_path, ["train_00001.jpg 5", "test_0001.jpg 5"])
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError) as caught:
        read_raf_db(tmp_path, options(), strict())
    assert str(caught.value) == f"{tmp_path}: expected the {what} of RAF-DB in it, found none"
