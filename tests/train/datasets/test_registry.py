from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from train.datasets.support import options, save
from train.support import HEADER, child_environment, csv_row

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets import DATASETS, read_dataset
from fer_edge_train.datasets.registry import FALLBACK, dataset_kind
from fer_edge_train.datasets.tfrecord import write_tfrecords


def fer_2013_csv(folder):
    path = folder / "faces.csv"
    path.write_text(f"{HEADER}\n{csv_row(3, np.zeros((48, 48)), 'Training')}\n")
    return path


def fer_2013_folders(folder):
    save(folder / "Training" / "happy" / "1.png")
    save(folder / "PublicTest" / "happy" / "2.png")
    return folder


def ck_plus(folder):
    save(folder / "anger" / "S010_004_00000017.png")
    save(folder / "happy" / "S011_006_00000013.png")
    return folder


def ck_plus_sequences(folder):
    for i in range(1, 5):
        save(folder / "cohn-kanade-images" / "S005" / "001" / f"S005_001_{i:08d}.png")
    (folder / "Emotion" / "S005" / "001").mkdir(parents=True)
    (folder / "Emotion" / "S005" / "001" / "S005_001_00000004_emotion.txt").write_text("   3.0000000e+00\n")
    return folder


def jaffe(folder):
    save(folder / "KA.AN1.39.tiff")
    return folder


def kdef(folder):
    save(folder / "AF01" / "AF01ANS.JPG")
    return folder


def raf_db(folder):
    (folder / "list_patition_label.txt").write_text("train_00001.jpg 1\ntest_0001.jpg 2\n")
    save(folder / "aligned" / "train_00001_aligned.jpg")
    save(folder / "aligned" / "test_0001_aligned.jpg")
    return folder


def expw(folder):
    (folder / "label.lst").write_text("a.jpg 0 0 0 16 16 1 2\n")
    save(folder / "Images" / "a.jpg")
    return folder


def tfrecord(folder):
    faces = read_dataset(jaffe(folder), options()).split("all")
    write_tfrecords({"train": faces}, folder / "records")
    return folder / "records"


def class_folders(folder):
    save(folder / "train" / "happy" / "1.png")
    save(folder / "test" / "sad" / "1.png")
    return folder


LAYOUTS = {
    "fer-2013": (fer_2013_csv, {"Training": 1}),
    "fer-2013 in folders": (fer_2013_folders, {"PublicTest": 1, "Training": 1}),
    "ck-plus": (ck_plus, {"all": 2}),
    "ck-plus-sequences": (ck_plus_sequences, {"all": 4}),
    "jaffe": (jaffe, {"all": 1}),
    "kdef": (kdef, {"all": 1}),
    "raf-db": (raf_db, {"train": 1, "test": 1}),
    "expw": (expw, {"all": 1}),
    "tfrecord": (tfrecord, {"train": 1}),
    "class-folders": (class_folders, {"test": 1, "train": 1}),
}


def test_every_data_set_has_a_case_here():
    assert {name.split()[0] for name in LAYOUTS} == set(DATASETS)
    assert FALLBACK in DATASETS


@pytest.mark.parametrize("how", ["path", "text", "named"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_recognised_or_named(tmp_path, layout, how):
    make, expected = LAYOUTS[layout]
    name, path = layout.split()[0], make(tmp_path)
    spec = {"path": path, "text": str(path), "named": f"{name}:{path}"}[how]
    dataset = read_dataset(spec, options(channels=3))
    assert dataset.name == name
    assert (dataset.title, dataset.licence) == (dataset_kind(name).title, dataset_kind(name).licence)
    assert {split: len(faces) for split, faces in dataset.splits.items()} == expected
    for faces in dataset.splits.values():
        assert faces.images.shape[1:] == (16, 16, 3)
        assert faces.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert dataset.skipped.to_text() == ""


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout not in ("fer-2013", "tfrecord")])
def test_a_folder_one_level_off_is_pointed_out(tmp_path, layout):
    folder = tmp_path / "outer" / "data"
    folder.mkdir(parents=True)
    LAYOUTS[layout][0](folder)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "outer", options())
    name = layout.split()[0]
    assert str(caught.value) == (
        f"{tmp_path}/outer: no data set is laid out like this; {folder} looks like {name}, did you mean that?"
    )


def test_the_folder_that_holds_the_one_given_is_pointed_out(tmp_path):
    raf_db(tmp_path)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "aligned", options())
    assert str(caught.value) == (
        f"{tmp_path}/aligned: no data set is laid out like this; {tmp_path} looks like raf-db, did you mean that?"
    )


def test_an_unknown_layout_says_what_was_looked_for(tmp_path):
    (tmp_path / "inner").mkdir()
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "inner", options())
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path}/inner: no data set is laid out like this; looked for fer-2013: a csv or csv.gz"
    )
    assert [name for name in DATASETS if f"{name}: {dataset_kind(name).layout}" in message] == list(DATASETS)
    assert "\n" not in message


def test_two_layouts_in_one_folder_must_be_told_apart(tmp_path):
    raf_db(tmp_path)
    expw(tmp_path)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path, options())
    assert str(caught.value) == (
        f"{tmp_path}: expected the layout of one data set, found those of raf-db and expw; "
        f"name the one you mean, e.g. raf-db:{tmp_path}"
    )
    assert read_dataset(f"expw:{tmp_path}", options()).name == "expw"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("raf_db", "did you mean raf-db?"),
        ("JAFFE", "did you mean jaffe?"),
        ("affectnet", f"known: {', '.join(DATASETS)}"),
    ],
)
def test_an_unknown_name_is_refused_with_a_near_one(tmp_path, name, hint):
    with pytest.raises(UsageError) as caught:
        read_dataset(f"{name}:{tmp_path}", options())
    assert str(caught.value) == f"no data set is named {name!r}; {hint}"


def test_a_path_with_a_colon_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jaffe:1").mkdir()
    jaffe(tmp_path / "jaffe:1")
    assert len(read_dataset("jaffe:1", options()).split("all")) == 1


def test_nothing_there_is_an_error(tmp_path):
    with pytest.raises(InputError) as caught:
        read_dataset(f"jaffe:{tmp_path}/x", options())
    assert str(caught.value) == f"{tmp_path}/x: no such file or folder; expected a data set"


def test_a_split_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        read_dataset(raf_db(tmp_path), options()).split("validation")
    assert str(caught.value) == "RAF-DB, basic has no split 'validation'; it has train, test"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 2}, "channels: expected 1 (gray) or 3 (B, G, R), found 2"),
        ({"size_px": 7}, "size_px: expected 8 to 1024, found 7"),
        ({"margin": float("nan")}, "margin: expected -0.9 to 4, found nan"),
        ({"last_frames": 0}, "last_frames: expected 1 to 100, found 0"),
        ({"first_frames": -1}, "first_frames: expected 0 to 100, found -1"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(UsageError) as caught:
        options(**changes)
    assert str(caught.value) == message


def test_reading_needs_numpy_and_opencv_alone(tmp_path):
    script = """
import sys
from fer_edge_train.datasets import ReadOptions, read_dataset
from fer_edge_train.datasets import joining, splits, tfrecord
read_dataset(sys.argv[1], ReadOptions(size_px=16, channels=1))
print(*sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tfrecord(tmp_path))],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    assert loaded <= {"cv2", "fer_edge", "fer_edge_train", "numpy", "sitecustomize", "distutils"}, loaded
