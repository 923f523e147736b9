from __future__ import annotations

import gzip

import numpy as np
import pytest
from train.datasets.support import save
from train.support import HEADER, csv_row

from fer_edge.errors import InputError
from fer_edge.preprocess import face_pixels
from fer_edge_train.datasets import FER2013_LABELS, ReadOptions, read_dataset, read_fer2013

PIXELS = np.arange(2304).reshape(48, 48) % 256
GOOD = csv_row(3, PIXELS, "Training")


def row_with(position: int, value: str) -> str:
    values = [str(v) for v in PIXELS.ravel()]
    values[position] = value
    return f"3,{' '.join(values)},Training"


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.csv.gz"])
def test_pixels_labels_and_rows_are_those_of_the_file(write_csv, name):
    rows = [
        csv_row(6, PIXELS, "Training"),
        csv_row(0, 255 - PIXELS, "PublicTest"),
        csv_row(1, PIXELS.T, "PrivateTest"),
        csv_row(2, PIXELS[::-1], "Training"),
    ]
    sets = read_fer2013(write_csv(rows, name), ("Training", "PublicTest"))
    assert list(sets) == ["Training", "PublicTest"]
    training, test = sets["Training"], sets["PublicTest"]
    assert training.images.shape == (2, 48, 48, 1)
    assert training.images.dtype == np.uint8
    np.testing.assert_array_equal(training.images[0, :, :, 0], PIXELS)
    np.testing.assert_array_equal(training.images[1, :, :, 0], PIXELS[::-1])
    np.testing.assert_array_equal(test.images[0, :, :, 0], 255 - PIXELS)
    assert training.label_indices.tolist() == [6, 2]
    assert test.label_indices.tolist() == [0]
    assert training.rows.tolist() == [0, 3]
    assert test.rows.tolist() == [1]
    assert training.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{HEADER}\r\n{GOOD}\r\n", id="windows line ends"),
        pytest.param(f"\ufeff{HEADER}\n{GOOD}\n", id="byte order mark"),
        pytest.param(f"{HEADER}\n{GOOD}", id="no line end at the end"),
        pytest.param("emotion, pixels, Usage\n" + GOOD.replace(",", ", ") + "\n", id="spaces after commas"),
        pytest.param(f'{HEADER}\n"3","{GOOD.split(",")[1]}","Training"\n', id="quoted fields"),
        pytest.param(f"{HEADER}\n{row_with(5, '0005')}\n", id="leading zeros"),
    ],
)
def test_harmless_variants_are_read(tmp_path, text):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(text.encode())
    faces = read_fer2013(path, ("Training",))["Training"]
    np.testing.assert_array_equal(faces.images[0, :, :, 0], PIXELS)
    assert faces.label_indices.tolist() == [3]


def test_empty_lines_do_not_shift_the_rows_that_votes_are_joined_by(write_csv):
    path = write_csv(["", GOOD, "  ", csv_row(4, PIXELS, "Training"), ""])
    assert read_fer2013(path, ("Training",))["Training"].rows.tolist() == [0, 1]


NUMBER = "expected an integer from 0 to 255"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param("3,1 2 3", "row 2: expected 3 columns (emotion,pixels,Usage), found 2", id="two columns"),
        pytest.param(GOOD + ",x", "row 2: expected 3 columns (emotion,pixels,Usage), found 4", id="four columns"),
        pytest.param(
            GOOD.replace("3,", "7,", 1),
            "row 2, column emotion: expected an integer from 0 to 6, found '7'",
            id="emotion 7",
        ),
        pytest.param(
            GOOD.replace("3,", "-1,", 1),
            "row 2, column emotion: expected an integer from 0 to 6, found '-1'",
            id="emotion -1",
        ),
        pytest.param(
            GOOD.replace("3,", "happy,", 1),
            "row 2, column emotion: expected an integer from 0 to 6, found 'happy'",
            id="emotion in words",
        ),
        pytest.param(
            GOOD.replace("Training", "training"),
            "row 2, column Usage: expected one of Training, PublicTest, PrivateTest, found 'training'",
            id="usage",
        ),
        pytest.param(row_with(0, "x"), f"row 2, column pixels: value 1 is 'x', {NUMBER}", id="not a number"),
        pytest.param(row_with(2303, "256"), f"row 2, column pixels: value 2304 is '256', {NUMBER}", id="256"),
        pytest.param(row_with(9, "-1"), f"row 2, column pixels: value 10 is '-1', {NUMBER}", id="negative"),
        pytest.param(row_with(9, "1.5"), f"row 2, column pixels: value 10 is '1.5', {NUMBER}", id="fraction"),
        pytest.param(row_with(9, "٣"), f"row 2, column pixels: value 10 is '٣', {NUMBER}", id="another script's digit"),
        pytest.param(row_with(9, "1\0"), f"row 2, column pixels: value 10 is '1\\x00', {NUMBER}", id="zero byte"),
        pytest.param(
            row_with(9, "9" * 5000),
            f"row 2, column pixels: value 10 is '{'9' * 20}', {NUMBER}",
            id="5000 digits",
        ),
        pytest.param(
            row_with(9, ""), "row 2, column pixels: expected 2304 values (48 x 48), found 2303", id="one too few"
        ),
        pytest.param(
            row_with(9, "1 1"), "row 2, column pixels: expected 2304 values (48 x 48), found 2305", id="one too many"
        ),
        pytest.param("3,,Training", "row 2, column pixels: expected 2304 values (48 x 48), found 0", id="no pixels"),
    ],
)
@pytest.mark.parametrize("usage", ["Training", "PublicTest"])
def test_a_malformed_row_is_named_whatever_was_asked_for(write_csv, bad, message, usage):
    path = write_csv([GOOD, bad])
    with pytest.raises(InputError) as caught:
        read_fer2013(path, (usage,))
    assert str(caught.value) == f"{path}: {message}"


def unreadable(path, kind):
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        good = gzip.compress(f"{HEADER}\n{GOOD}\n".encode())
        path.write_bytes(
            {
                "truncated gz": good[: len(good) // 2],
                "plain text named gz": f"{HEADER}\n{GOOD}\n".encode(),
                "damaged gz": good[:30] + bytes(b ^ 0xFF for b in good[30:60]) + good[60:],
                "not utf-8": f"{HEADER}\n".encode() + b"\xff\xfe\n",
            }[kind]
        )


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a.csv", "missing", "No such file or directory"),
        ("a.csv.gz", "missing", "No such file or directory"),
        ("a.csv", "directory", "Is a directory"),
        ("a.csv.gz", "truncated gz", "Compressed file ended before the end-of-stream marker was reached"),
        ("a.csv.gz", "plain text named gz", "Not a gzipped file (b'em')"),
        ("a.csv.gz", "damaged gz", "Error -3 while decompressing data: "),
        ("a.csv", "not utf-8", "'utf-8' codec can't decode byte 0xff in position 21: invalid start byte"),
    ],
)
def test_an_unreadable_file_says_why(tmp_path, name, kind, reason):
    path = tmp_path / name
    unreadable(path, kind)
    with pytest.raises(InputError) as caught:
        read_fer2013(path, ("Training",))
    message = str(caught.value)
    assert message.startswith(f"cannot read {path}: {reason}")
    assert message.endswith("; expected FER-2013's csv or csv.gz")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("first_line", "found"),
    [("", ""), ("emotion,Usage,pixels", "emotion,Usage,pixels"), (GOOD, GOOD[:60])],
    ids=["empty file", "other order", "no header"],
)
def test_a_wrong_header_is_refused(tmp_path, first_line, found):
    path = tmp_path / "a.csv"
    path.write_text(first_line)
    with pytest.raises(InputError) as caught:
        read_fer2013(path, ("Training",))
    expected = f"{path}: expected the header 'emotion,pixels,Usage', found {found!r}; is it fer2013.csv?"
    assert str(caught.value) == expected


def test_a_usage_without_rows_is_an_error(write_csv):
    path = write_csv([GOOD])
    with pytest.raises(InputError) as caught:
        read_fer2013(path, ("Training", "PublicTest"))
    assert str(caught.value) == f"{path}: no row has the usage 'PublicTest'; expected some of each asked for"


@pytest.mark.parametrize("of_folder", [False, True], ids=["csv", "folder that holds it"])
def test_the_data_set_has_the_usages_that_are_in_the_file(write_csv, tmp_path, of_folder):
    path = write_csv([csv_row(5, PIXELS, "Training"), csv_row(2, PIXELS.T, "PrivateTest")])
    dataset = read_dataset(tmp_path if of_folder else path, ReadOptions(size_px=48, channels=1))
    assert dataset.name == "fer-2013"
    assert list(dataset.splits) == ["Training", "PrivateTest"]
    for usage, faces in dataset.splits.items():
        assert faces.digest() == read_fer2013(path, (usage,))[usage].digest()
        assert faces.sources is None
    assert dataset.split("PrivateTest").rows.tolist() == [1]


def test_size_and_colour_are_those_asked_for(write_csv):
    path = write_csv([GOOD])
    faces = read_dataset(path, ReadOptions(size_px=24, channels=3)).split("Training")
    expected = face_pixels(PIXELS.astype(np.uint8), (24, 24), 3)
    np.testing.assert_array_equal(faces.images, expected[np.newaxis])


def test_bad_rows_are_counted_and_keep_their_number(write_csv):
    path = write_csv([GOOD, "3,1 2 3", row_with(9, "256"), csv_row(1, PIXELS, "Training")])
    dataset = read_dataset(path, ReadOptions(size_px=48, channels=1, skip_bad=True))
    assert dataset.split("Training").rows.tolist() == [0, 3]
    assert dataset.skipped.n_bad == 2
    assert dataset.skipped.examples == [
        f"{path}: row 2: expected 3 columns (emotion,pixels,Usage), found 2",
        f"{path}: row 3, column pixels: value 10 is '256', {NUMBER}",
    ]


def test_a_file_with_bad_rows_alone_is_an_error(write_csv):
    path = write_csv(["3,1 2 3"])
    with pytest.raises(InputError) as caught:
        read_dataset(path, ReadOptions(size_px=48, channels=1, skip_bad=True))
    assert str(caught.value) == f"{path}: expected rows of faces, found none that can be used"


def test_class_folders_by_usage_are_fer_2013(tmp_path):
    for usage in ("Training", "PublicTest"):
        for name in ("angry", "happy"):
            save(tmp_path / usage / name / f"{usage}_{name}.png", PIXELS.astype(np.uint8))

    def must_not_run(image):
        raise AssertionError("these are crops already")

    dataset = read_dataset(tmp_path, ReadOptions(size_px=48, channels=1, crop_face=must_not_run))
    assert dataset.name == "fer-2013"
    assert sorted(dataset.splits) == ["PublicTest", "Training"]
    faces = dataset.split("PublicTest")
    assert faces.label_indices.tolist() == [0, 3]
    assert faces.sources.tolist() == ["PublicTest/angry/PublicTest_angry.png", "PublicTest/happy/PublicTest_happy.png"]
    np.testing.assert_array_equal(faces.images[1, :, :, 0], PIXELS)


@pytest.mark.data
@pytest.mark.slow
def test_the_published_file(data_folder):
    sets = read_fer2013(data_folder / "fer2013" / "fer2013.csv.gz", ("Training", "PublicTest"))
    training, test = sets["Training"], sets["PublicTest"]
    assert (len(training), len(test)) == (28_709, 3_589)
    # The counts the challenge's paper and every later work report.
    assert np.bincount(training.label_indices, minlength=7).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert np.bincount(test.label_indices, minlength=7).tolist() == [467, 56, 496, 895, 653, 415, 607]
    assert len(training) - len(training.without_constant_images()) == 11
    assert len(test) - len(test.without_constant_images()) == 1
    assert training.labels == FER2013_LABELS
    np.testing.assert_array_equal(training.images[0, 0, :5, 0], [70, 80, 82, 72, 58])
    kept = training.without_images_of(test)
    assert len(kept) < len(training)
    assert not set(kept.image_digests()) & set(test.image_digests())
    # As models/mini_xception/record.json names it.
    part, held_out = kept.without_constant_images().split(0.03, seed=2013)
    assert (len(part), len(held_out)) == (27_422, 936)
    assert part.digest() == "069b9e4757dfca4da48327c97d0a610f4f6d72aabc29b612947e936054283f6a"
