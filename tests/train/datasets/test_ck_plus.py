from __future__ import annotations

import numpy as np
import pytest
from train.datasets.support import contents, lenient, options, pixels_of, save, strict

from fer_edge.errors import InputError
from fer_edge_train.datasets.ck_plus import read_ck_plus
from fer_edge_train.datasets.ck_plus_sequences import read_ck_plus_sequences


def test_crops_carry_the_person_of_their_name(tmp_path):
    names = ("anger/S010_004_00000017.png", "contempt/S138_008_00000007.png", "surprise/S999_001_00000018.png")
    for name in names:
        save(tmp_path / name)

    def must_not_run(image):
        raise AssertionError("these are crops already")

    sets = read_ck_plus(tmp_path, options(keep_contempt=True, crop_face=must_not_run), strict())
    assert list(sets) == ["all"]
    assert contents(sets["all"]) == list(zip(("angry", "contempt", "surprise"), names, strict=True))
    assert sets["all"].subjects.tolist() == ["S010", "S138", "S999"]


def test_a_name_without_a_person_is_refused_or_counted(tmp_path):
    path = save(tmp_path / "anger" / "17.png")
    save(tmp_path / "anger" / "S010_004_00000017.png")
    message = f"{path}: expected a name like S010_004_00000017.png, which says who it is, found another"
    with pytest.raises(InputError) as caught:
        read_ck_plus(tmp_path, options(), strict())
    assert str(caught.value) == message
    skipped = lenient()
    assert len(read_ck_plus(tmp_path, options(), skipped)["all"]) == 1
    assert skipped.examples == [message]


def sequence(folder, subject, number, n_frames, label=None, images="cohn-kanade-images", labels="Emotion"):
    for frame in range(1, n_frames + 1):
        save(folder / images / subject / number / f"{subject}_{number}_{frame:08d}.png")
    label_folder = folder / labels / subject / number
    label_folder.mkdir(parents=True)
    if label is not None:
        (label_folder / f"{subject}_{number}_{n_frames:08d}_emotion.txt").write_text(f"   {label}.0000000e+00\n")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("cohn-kanade-images", "Emotion"),
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion"),
    ],
)
def test_the_last_three_frames_get_the_label_and_the_first_is_neutral(tmp_path, images, labels):
    sequence(tmp_path, "S005", "001", 11, 3, images, labels)
    sequence(tmp_path, "S010", "004", 4, 7, images, labels)
    sequence(tmp_path, "S010", "005", 9, None, images, labels)
    skipped = strict()
    faces = read_ck_plus_sequences(tmp_path, options(), skipped)["all"]
    expected = [("neutral", "S005/001", 1), *(("disgust", "S005/001", i) for i in (9, 10, 11))]
    expected += [("neutral", "S010/004", 1), *(("surprise", "S010/004", i) for i in (2, 3, 4))]
    names = [f"{where}/{where.replace('/', '_')}_{i:08d}.png" for _, where, i in expected]
    assert contents(faces) == [(label, f"{images}/{name}") for (label, _, _), name in zip(expected, names, strict=True)]
    np.testing.assert_array_equal(faces.images[..., 0], [pixels_of(name.split("/")[-1]) for name in names])
    assert faces.subjects.tolist() == ["S005"] * 4 + ["S010"] * 4
    assert skipped.to_text() == "left out on purpose: 1 sequences without a label"


@pytest.mark.parametrize(("first", "last", "frames"), [(0, 1, [6]), (2, 2, [1, 2, 5, 6]), (1, 5, [1, 2, 3, 4, 5, 6])])
def test_other_frames_can_be_asked_for(tmp_path, first, last, frames):
    sequence(tmp_path, "S005", "001", 6, 5)
    faces = read_ck_plus_sequences(tmp_path, options(first_frames=first, last_frames=last), strict())["all"]
    assert [int(source[-12:-4]) for source in faces.sources] == frames
    assert [faces.labels[i] for i in faces.label_indices] == ["neutral"] * first + ["happy"] * last


@pytest.mark.parametrize(
    ("number", "label"),
    list(enumerate(["neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"])),
)
def test_labels_are_numbered_as_published(tmp_path, number, label):
    sequence(tmp_path, "S005", "001", 5, number)
    faces = read_ck_plus_sequences(tmp_path, options(keep_contempt=True), strict())["all"]
    assert faces.labels[faces.label_indices[-1]] == label


def too_short(folder):
    sequence(folder, "S006", "001", 3, 3)


def label_8(folder):
    sequence(folder, "S006", "001", 5, 8)


def label_in_words(folder):
    sequence(folder, "S006", "001", 5, 1)
    (folder / "Emotion/S006/001/S006_001_00000005_emotion.txt").write_text("anger")


def two_labels(folder):
    sequence(folder, "S006", "001", 5, 1)
    (folder / "Emotion/S006/001/again_emotion.txt").write_text("2.0")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            too_short,
            "{0}/cohn-kanade-images/S006/001: expected at least 4 frames (1 neutral, 3 of the apex), found 3",
        ),
        (
            label_8,
            "{0}/Emotion/S006/001/S006_001_00000005_emotion.txt: expected one number from 0 to 7, "
            "found '8.0000000e+00'",
        ),
        (
            label_in_words,
            "{0}/Emotion/S006/001/S006_001_00000005_emotion.txt: expected one number from 0 to 7, found 'anger'",
        ),
        (
            two_labels,
            "{0}/Emotion/S006/001: expected one label file, found 2: S006_001_00000005_emotion.txt, again_emotion.txt",
        ),
    ],
)
def test_a_bad_sequence_is_named_or_counted(tmp_path, make, message):
    sequence(tmp_path, "S005", "001", 5, 1)
    make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_ck_plus_sequences(tmp_path, options(), strict())
    assert str(caught.value) == message.format(tmp_path)
    skipped = lenient()
    assert len(read_ck_plus_sequences(tmp_path, options(), skipped)["all"]) == 4
    assert skipped.examples == [message.format(tmp_path)]


@pytest.mark.parametrize("missing", ["cohn-kanade-images", "Emotion"])
def test_a_missing_half_is_named(tmp_path, missing):
    sequence(tmp_path, "S005", "001", 5, 1)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError) as caught:
        read_ck_plus_sequences(tmp_path, options(), strict())
    assert str(caught.value) == (
        f"{tmp_path}: expected CK+'s folder {missing} in it, found none; unpack both archives there"
    )
