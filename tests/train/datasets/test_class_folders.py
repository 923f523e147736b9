from __future__ import annotations

import numpy as np
import pytest
from train.datasets.support import SIDE_PX, contents, lenient, options, pixels_of, save, strict

from fer_edge.errors import InputError
from fer_edge.preprocess import face_pixels
from fer_edge_train.datasets.class_folders import KIND, read_class_folders

WORDS = (
    "angry/anger, disgust/disgusted, fear/fearful/afraid, happy/happiness, sad/sadness, surprise/surprised, "
    "neutral, contempt/contemptuous"
)


def test_pictures_get_their_folders_expression_in_the_order_of_names(tmp_path):
    for name in ("sadness/b.png", "sadness/a.JPG", "Happy/c.bmp", "neutral/d.png"):
        save(tmp_path / name)
    (faces,) = read_class_folders(tmp_path, options(), strict()).values()
    assert contents(faces) == [
        ("happy", "Happy/c.bmp"),
        ("neutral", "neutral/d.png"),
        ("sad", "sadness/a.JPG"),
        ("sad", "sadness/b.png"),
    ]
    assert faces.label_indices.tolist() == [3, 6, 4, 4]
    assert faces.rows.tolist() == [0, 1, 2, 3]
    assert faces.subjects is None
    np.testing.assert_array_equal(faces.images[..., 0], [pixels_of(n) for n in ("c.bmp", "d.png", "a.JPG", "b.png")])


@pytest.mark.parametrize(
    "splits", [("train", "test"), ("Training", "PublicTest", "PrivateTest"), ("train", "val", "test")]
)
def test_splits_keep_their_names(tmp_path, splits):
    for split in splits:
        save(tmp_path / split / "fear" / f"{split}.png")
    sets = read_class_folders(tmp_path, options(), strict())
    assert {name: contents(faces) for name, faces in sets.items()} == {
        split: [("fear", f"{split}/fear/{split}.png")] for split in splits
    }


def test_colour_is_kept_where_three_channels_are_asked_for(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    save(tmp_path / "happy" / "a.png", image)
    for channels in (1, 3):
        (faces,) = read_class_folders(tmp_path, options(channels=channels), strict()).values()
        np.testing.assert_array_equal(faces.images[0], face_pixels(image, (SIDE_PX, SIDE_PX), channels))


@pytest.mark.parametrize(
    ("shape", "cut"),
    [((16, 24), np.s_[:, 4:20]), ((30, 16), np.s_[7:23, :]), ((16, 16), np.s_[:, :])],
    ids=["wide", "tall", "square"],
)
def test_without_a_cropper_the_centred_square_is_taken(tmp_path, shape, cut):
    image = pixels_of("a", *shape)
    save(tmp_path / "happy" / "a.png", image)
    (faces,) = read_class_folders(tmp_path, options(), strict()).values()
    np.testing.assert_array_equal(faces.images[0, :, :, 0], image[cut])


def test_a_cropper_gets_the_colour_picture_and_gives_the_face(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    save(tmp_path / "happy" / "a.png", image)
    given = []

    def crop_face(picture):
        given.append(picture)
        return picture[3:19, 30:46]

    (faces,) = read_class_folders(tmp_path, options(channels=3, crop_face=crop_face), strict()).values()
    np.testing.assert_array_equal(given, [image])
    np.testing.assert_array_equal(faces.images[0], image[3:19, 30:46])


def test_a_picture_without_a_face_is_a_bad_one(tmp_path):
    path = save(tmp_path / "happy" / "a.png", pixels_of("a.png", 16, 16))
    save(tmp_path / "happy" / "b.png", pixels_of("b.png", 20, 20))
    asked = options(crop_face=lambda image: image if len(image) == 20 else None)
    message = f"{path}: no face was found in the picture; leave it out, or take the whole picture"
    with pytest.raises(InputError) as caught:
        read_class_folders(tmp_path, asked, strict())
    assert str(caught.value) == message
    skipped = lenient()
    (faces,) = read_class_folders(tmp_path, asked, skipped).values()
    assert faces.sources.tolist() == ["happy/b.png"]
    assert (skipped.n_bad, skipped.examples) == (1, [message])


def test_contempt_is_left_out_and_counted_unless_asked_for(tmp_path):
    for name in ("contempt/a.png", "contempt/b.png", "sad/c.png"):
        save(tmp_path / name)
    skipped = strict()
    (faces,) = read_class_folders(tmp_path, options(), skipped).values()
    assert contents(faces) == [("sad", "sad/c.png")]
    assert skipped.to_text() == "left out on purpose: 2 faces of contempt"
    skipped = strict()
    (faces,) = read_class_folders(tmp_path, options(keep_contempt=True), skipped).values()
    assert faces.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
    assert faces.label_indices.tolist() == [7, 7, 4]
    assert skipped.to_text() == ""


def test_clutter_is_ignored_and_other_files_are_counted(tmp_path):
    save(tmp_path / "happy" / "a.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt", "list.csv", "._a.png"):
        (tmp_path / "happy" / name).write_text("x")
    (tmp_path / ".git" / "happy").mkdir(parents=True)
    (tmp_path / "README").write_text("x")
    skipped = strict()
    (faces,) = read_class_folders(tmp_path, options(), skipped).values()
    assert len(faces) == 1
    assert skipped.to_json() == {"bad": 0, "examples": [], "left_out": {"files that are no pictures by their names": 2}}


def no_class_folder(folder):
    save(folder / "a.png")


def a_number(folder):
    save(folder / "3" / "a.png")


def too_deep(folder):
    save(folder / "happy" / "people" / "a.png")


def classes_beside_splits(folder):
    save(folder / "train" / "happy" / "a.png")
    save(folder / "sad" / "a.png")


def empty_split(folder):
    save(folder / "train" / "happy" / "a.png")
    (folder / "test").mkdir()


def empty_class(folder):
    save(folder / "happy" / "a.png")
    (folder / "sad").mkdir()


def twice(folder):
    save(folder / "sad" / "a.png")
    save(folder / "Sadness" / "a.png")


def file_instead(folder):
    folder.rmdir()
    folder.write_text("x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            no_class_folder,
            "{0}: expected a folder for each class, found none; give the folder that has the class folders in it",
        ),
        (
            a_number,
            f"{{0}}/3: expected a class folder named by its expression ({WORDS}), found '3'; rename it, or give "
            "another folder level",
        ),
        (
            too_deep,
            "{0}/happy: expected only pictures of this class, found the folder people; give another folder level",
        ),
        (
            classes_beside_splits,
            "{0}: expected only splits (train) or only classes, found sad beside them",
        ),
        (
            empty_split,
            "{0}/test: expected a folder for each class, found none; give the folder that has the class folders in it",
        ),
        (empty_class, "{0}/sad: expected pictures of this class, found none"),
        (twice, "{0}: expected one folder for sad, found Sadness and sad; put them together"),
        (file_instead, "cannot read the folder {0}: Not a directory"),
    ],
)
def test_a_folder_that_is_laid_out_otherwise_is_refused(tmp_path, make, message):
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    with pytest.raises(InputError) as caught:
        read_class_folders(folder, options(), strict())
    assert str(caught.value) == message.format(folder)


def test_pictures_that_cannot_be_read_are_named_or_counted(tmp_path):
    good = save(tmp_path / "happy" / "c.png")
    cut = tmp_path / "happy" / "a.png"
    cut.write_bytes(good.read_bytes()[:60])
    (tmp_path / "happy" / "b.jpg").write_text("no picture")
    (tmp_path / "happy" / "d.png").touch()
    with pytest.raises(InputError) as caught:
        read_class_folders(tmp_path, options(), strict())
    assert str(caught.value).startswith(f"{cut}: this PNG picture is damaged or cut short")
    skipped = lenient()
    (faces,) = read_class_folders(tmp_path, options(), skipped).values()
    assert faces.sources.tolist() == ["happy/c.png"]
    np.testing.assert_array_equal(faces.images[0, :, :, 0], pixels_of("c.png"))
    assert skipped.n_bad == 3
    assert [example.split(":")[0] for example in skipped.examples] == [
        str(tmp_path / "happy" / name) for name in ("a.png", "b.jpg", "d.png")
    ]


def test_an_empty_class_is_counted_where_bad_ones_are_skipped(tmp_path):
    empty_class(tmp_path)
    skipped = lenient()
    (faces,) = read_class_folders(tmp_path, options(), skipped).values()
    assert faces.class_counts().tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert skipped.examples == [f"{tmp_path}/sad: expected pictures of this class, found none"]


def test_nothing_left_is_an_error_even_where_bad_ones_are_skipped(tmp_path):
    (tmp_path / "train" / "happy").mkdir(parents=True)
    (tmp_path / "train" / "happy" / "b.jpg").write_text("no picture")
    with pytest.raises(InputError) as caught:
        read_class_folders(tmp_path, options(), lenient())
    assert str(caught.value) == f"{tmp_path}: train: expected pictures, found none that can be used"


def test_examples_end_at_twenty(tmp_path):
    save(tmp_path / "happy" / "good.png")
    for i in range(25):
        (tmp_path / "happy" / f"{i:02d}.png").write_text("no picture")
    skipped = lenient()
    read_class_folders(tmp_path, options(), skipped)
    assert skipped.n_bad == 25
    lines = skipped.to_text().splitlines()
    assert lines[0] == "skipped because they cannot be used: 25"
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more"


def test_progress_is_told_up_to_the_end(tmp_path):
    for i in range(300):
        save(tmp_path / "happy" / f"{i:03d}.png")
    told = []
    (faces,) = read_class_folders(
        tmp_path, options(progress=lambda done, total: told.append((done, total))), strict()
    ).values()
    assert told == [(256, 300), (300, 300)]
    np.testing.assert_array_equal(faces.images[..., 0], [pixels_of(f"{i:03d}.png") for i in range(300)])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["happy/a.png"], True),
        (["train/happy/a.png", "test/sad/a.png"], True),
        (["happy/a.png", "cats/a.png"], True),
        (["cats/a.png", "dogs/a.png"], False),
        (["train/cats/a.png"], False),
        (["a.png"], False),
    ],
)
def test_a_folder_with_an_expression_in_it_is_recognised(tmp_path, files, expected):
    for name in files:
        save(tmp_path / name)
    assert KIND.recognise(tmp_path) is expected
