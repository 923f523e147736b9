from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from train.support import csv_row, learnable_faces, write_learnable_csv

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets import FER2013_LABELS, FaceSet
from fer_edge_train.recipe import Recipe
from fer_edge_train.training_data import _targets, read_training_data

RECIPE = Recipe(architecture="mini_xception", validation_fraction=0.1)


def read(recipe: Recipe, *specs, votes=None, skip_bad=False):
    return read_training_data([str(spec) for spec in specs], recipe, votes=votes, skip_bad=skip_bad)


def class_folders(root: Path, n: int, seed: int = 3) -> Path:
    cv2 = import_cv2()
    images, labels = learnable_faces(n, seed)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = root / FER2013_LABELS[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:03d}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return root


def digests(faces: FaceSet) -> set[bytes]:
    return set(faces.image_digests())


def test_a_published_division_is_kept(tmp_path):
    data = read(RECIPE, write_learnable_csv(tmp_path / "a.csv", 70, 21))
    assert (len(data.training), len(data.held_out), {name: len(faces) for name, faces in data.tests.items()}) == (
        63, 7, {"PublicTest": 21},
    )  # fmt: skip
    assert data.targets.shape == (63, 7)
    assert data.description["divided_by"] == "class"


def test_an_undivided_set_gets_a_test_part(tmp_path):
    data = read(replace(RECIPE, test_share=0.3), class_folders(tmp_path / "faces", 70))
    assert {name: len(faces) for name, faces in data.tests.items()} == {"test": 21}
    assert len(data.training) + len(data.held_out) == 49
    parts = [digests(faces) for faces in (data.training, data.held_out, data.tests["test"])]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 70


def test_several_sets_are_joined_and_measured_apart(tmp_path):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    data = read(RECIPE, csv, f"class-folders:{class_folders(tmp_path / 'faces', 70)}")
    assert {name: len(faces) for name, faces in data.tests.items()} == {
        "fer-2013 PublicTest": 21,
        "class-folders test": 14,
    }
    assert len(data.training) + len(data.held_out) == 70 + 56
    assert [each["name"] for each in data.description["sets"]] == ["fer-2013", "class-folders"]
    assert data.description["sets"][1]["file_sha256"] is None


def test_one_set_twice_is_refused(tmp_path):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    with pytest.raises(UsageError, match="expected each data set once, found fer-2013, fer-2013"):
        read(RECIPE, csv, csv)


def test_folds_cover_the_training_images_once(tmp_path):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    folds = [read(replace(RECIPE, fold=(i, 4)), csv) for i in (1, 2, 3, 4)]
    tested = [digests(fold.tests[f"fold {i} of 4"]) for i, fold in enumerate(folds, 1)]
    assert all(len(fold.tests["PublicTest"]) == 21 for fold in folds)
    assert sum(len(part) for part in tested) == len(set.union(*tested)) == 70
    for fold, part in zip(folds, tested, strict=True):
        assert not part & (digests(fold.training) | digests(fold.held_out))
        assert list(fold.tests) == list(fold.description["test_images"])


def test_folds_of_an_undivided_set_may_cover_all_of_it(tmp_path):
    folder = class_folders(tmp_path / "faces", 70)
    parts = [read(replace(RECIPE, fold=(i, 4), test_share=0.0), folder).tests for i in (1, 2, 3, 4)]
    assert [list(part) for part in parts] == [[f"fold {i} of 4"] for i in (1, 2, 3, 4)]
    tested = [digests(part[f"fold {i} of 4"]) for i, part in enumerate(parts, 1)]
    assert sum(len(part) for part in tested) == len(set.union(*tested)) == 70


def near_copies(root: Path, n: int) -> Path:
    """Pictures of 48 x 48, and of every third one a copy with one pixel a little brighter, in colour."""
    cv2 = import_cv2()
    folder = class_folders(root, n)
    for path in sorted(folder.glob("*/*.png"))[::3]:
        image = cv2.imread(str(path))
        image[20, 20] += 1
        path.with_name(f"near {path.name}").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return folder


def test_the_folds_are_the_same_for_every_size_of_input(tmp_path):
    folder = near_copies(tmp_path / "faces", 84)
    sources, n_images = {}, {}
    for shape in ((48, 48, 1), (24, 24, 1), (96, 96, 3)):
        tests = [read(replace(RECIPE, fold=(i, 4), input_shape_hwc=shape), folder).tests for i in (1, 2, 3, 4)]
        sources[shape] = [{name: faces.sources.tolist() for name, faces in each.items()} for each in tests]
        n_images[shape] = len(set.union(*(digests(faces) for each in tests for faces in each.values())))
    assert sources[48, 48, 1] == sources[24, 24, 1] == sources[96, 96, 3]
    assert n_images[96, 96, 3] == n_images[48, 48, 1] == 84 + 28
    assert n_images[24, 24, 1] < 84 + 28  # some are one picture there


@pytest.mark.parametrize("shape", [(48, 48, 1), (24, 24, 1)], ids=["48 px", "24 px"])
def test_no_picture_of_any_size_is_in_two_parts(tmp_path, shape):
    data = read(replace(RECIPE, fold=(1, 4), input_shape_hwc=shape), near_copies(tmp_path / "faces", 84))
    parts = [digests(faces) for faces in (data.training, data.held_out)]
    tested = set.union(*(digests(faces) for faces in data.tests.values()))
    assert not parts[0] & parts[1]
    assert not parts[0] & tested


def test_images_that_are_tested_on_and_constant_ones_are_dropped_and_counted(tmp_path):
    path = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    leaked = path.read_text().splitlines()[-1].replace("PublicTest", "Training")
    constant = csv_row(0, np.full((48, 48), 9), "Training")
    path.write_text("\n".join([path.read_text().rstrip(), leaked, constant]))
    data = read(RECIPE, path)
    assert data.description["dropped_images"] == 2
    assert data.description["dropped_because"] == "constant value, or the same pixels as an image of PublicTest"


def test_pictures_of_the_sealed_part_are_left_out_of_training_and_not_measured(tmp_path):
    path = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    training = [line for line in path.read_text().splitlines() if line.endswith(",Training")]
    sealed = [line.replace(",Training", ",PrivateTest") for line in training[:14]]
    path.write_text("\n".join([path.read_text().rstrip(), *sealed]))
    data = read(RECIPE, path)
    assert list(data.tests) == ["PublicTest"]
    assert data.description["dropped_images"] == 14
    assert "PublicTest or PrivateTest" in data.description["dropped_because"]


def test_copies_of_tested_images_may_stay_and_are_then_measured_apart(tmp_path):
    path = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    leaked = [line.replace("PublicTest", "Training") for line in path.read_text().splitlines()[-3:]]
    path.write_text("\n".join([path.read_text().rstrip(), *leaked]))
    data = read(replace(RECIPE, keep_test_copies=True, validation_fraction=0.0), path)
    assert (len(data.training), data.description["dropped_images"]) == (73, 0)
    assert data.description["dropped_because"] == "constant value"
    assert data.description["test_copies_seen"] == {"PublicTest": 3}
    assert {name: len(faces) for name, faces in data.tests.items()} == {
        "PublicTest": 21,
        "PublicTest without copies": 18,
    }
    assert not digests(data.tests["PublicTest without copies"]) & digests(data.training)


def test_copies_that_are_held_out_were_seen_too_and_none_may_be_left(tmp_path):
    path = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    leaked = [line.replace("PublicTest", "Training") for line in path.read_text().splitlines()[-21:]]
    path.write_text("\n".join([path.read_text().rstrip(), *leaked[:14]]))
    data = read(replace(RECIPE, keep_test_copies=True, validation_fraction=0.3), path)
    assert digests(data.held_out) & digests(data.tests["PublicTest"])
    assert data.description["test_copies_seen"] == {"PublicTest": 14}
    assert len(data.tests["PublicTest without copies"]) == 7
    path.write_text("\n".join([path.read_text().rstrip(), *leaked[14:]]))
    data = read(replace(RECIPE, keep_test_copies=True), path)
    assert data.description["test_copies_seen"] == {"PublicTest": 21}
    assert list(data.tests) == ["PublicTest"]


def test_copies_of_the_sealed_part_never_stay(tmp_path):
    path = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    training = [line for line in path.read_text().splitlines() if line.endswith(",Training")]
    sealed = [line.replace(",Training", ",PrivateTest") for line in training[:14]]
    path.write_text("\n".join([path.read_text().rstrip(), *sealed]))
    data = read(replace(RECIPE, keep_test_copies=True), path)
    assert data.description["dropped_images"] == 14
    assert data.description["dropped_because"] == "constant value, or the same pixels as an image of PrivateTest"


def test_without_copies_keeping_them_changes_nothing(tmp_path):
    path = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    kept, plain = (read(replace(RECIPE, keep_test_copies=keep), path) for keep in (True, False))
    assert kept.digest() == plain.digest()
    assert kept.description["test_digests"] == plain.description["test_digests"]
    assert kept.description["test_copies_seen"] == {}


def test_a_published_validation_part_is_watched(tmp_path):
    root = tmp_path / "faces"
    for part, n, seed in (("train", 70, 1), ("val", 14, 2), ("test", 21, 3)):
        class_folders(root / part, n, seed)
    data = read(RECIPE, root)
    assert (len(data.training), len(data.held_out), len(data.tests["test"])) == (70, 14, 21)


def test_parts_of_unknown_names_are_refused_not_ignored(tmp_path):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    from fer_edge_train import training_data
    from fer_edge_train.datasets import ReadOptions, read_dataset

    whole = read_dataset(csv, ReadOptions(size_px=48, channels=1))
    strange = replace(whole, splits={**whole.splits, "dev": whole.splits["PublicTest"]})
    with pytest.raises(InputError) as caught:
        training_data._divide(strange, RECIPE)
    assert str(caught.value) == (
        "FER-2013: expected one part named training or train, at most one named validation or val, "
        "and publictest or test or testing, found Training, PublicTest, dev"
    )


def ck_folders(root: Path, parts: dict[str, range]) -> Path:
    """CK+ crops of published parts; subjects are S and their number."""
    cv2 = import_cv2()
    names = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral")
    for part, subjects in parts.items():
        for subject in subjects:
            images, _ = learnable_faces(7, subject)
            for i, (name, image) in enumerate(zip(names, images, strict=True)):
                folder = root / part / name
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / f"S{subject:03d}_{i + 1:03d}_00000017.png"
                path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return root


def test_dividing_by_person_keeps_everybody_on_one_side(tmp_path):
    folder = ck_folders(tmp_path, {".": range(20)})
    data = read(replace(RECIPE, by_subject=True, test_share=0.3), f"ck-plus:{folder}")
    people = [set(faces.subjects.tolist()) for faces in (data.training, data.held_out, data.tests["test"])]
    assert sum(len(part) for part in people) == len(set.union(*people)) == 20
    assert data.description["divided_by"] == "person"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": 5}, "--patience 5 needs held-out images, found none in a part of 0.001; raise"),
        ({"schedule": "plateau"}, "--schedule plateau needs held-out images, found none in a part of 0.001; raise"),
    ],
)
def test_a_part_too_small_to_watch_is_refused_where_it_is_needed(tmp_path, changes, message):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    with pytest.raises(UsageError, match=message):
        read(replace(RECIPE, validation_fraction=0.001, **changes), csv)


def test_a_margin_without_boxes_is_refused(tmp_path):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    with pytest.raises(UsageError, match="a crop margin widens ExpW's boxes; fer-2013 has none"):
        read_training_data([str(csv)], RECIPE, votes=None, skip_bad=False, margin=0.1)


def test_the_digest_names_images_targets_and_what_is_watched(tmp_path):
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    base = read(RECIPE, csv)
    assert base.digest() == read(RECIPE, csv).digest()
    others = [
        read(replace(RECIPE, split_seed=1), csv),
        read(replace(RECIPE, label_smoothing=0.2), csv),
        replace(base, held_out=base.training),
    ]
    assert len({base.digest(), *(other.digest() for other in others)}) == 4


def test_a_class_without_images_is_refused(tmp_path):
    images, labels = learnable_faces(14, 1)
    rows = [csv_row(label, image, "Training") for image, label in zip(images, labels, strict=True) if label != 1]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    with pytest.raises(InputError, match=r"^FER-2013: expected faces of each of 7 classes, found none of disgust; "):
        read(RECIPE, path)


def test_what_cannot_be_used_is_counted_when_that_is_asked_for(tmp_path):
    folder = class_folders(tmp_path / "faces", 70)
    (folder / "happy" / "zzz.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"zzz\.png"):
        read(RECIPE, folder)
    data = read(RECIPE, folder, skip_bad=True)
    assert data.description["sets"][0]["skipped"]["bad"] == 1
    assert "zzz.png" in data.skipped_text


def test_an_input_that_is_no_square_is_refused(tmp_path):
    with pytest.raises(UsageError, match="input_shape_hwc: expected a square, found 48 x 40"):
        read(replace(RECIPE, input_shape_hwc=(48, 40, 1)), tmp_path)


@pytest.mark.data
def test_the_parts_of_fer2013_are_those_that_records_name(data_folder):
    recipe = Recipe(architecture="mini_xception", validation_fraction=0.03, seed=2013)
    data = read(recipe, data_folder / "fer2013" / "fer2013.csv.gz")
    assert (len(data.training), len(data.held_out), data.description["dropped_images"]) == (27_422, 936, 351)
    # models/mini_xception/record.json of version 0.1.0 has this digest.
    assert data.description["training_digest"].startswith("069b9e47")


VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


@pytest.mark.parametrize(
    ("teacher_share", "label", "votes"), [(0.0, 0.6, 0.4), (0.5, 0.2, 0.8)], ids=["alone", "beside a teacher"]
)
def test_targets_by_hand(tmp_path, teacher_share, label, votes):
    # Rows 1 and 3 of four voted alike and carry labels 0 and 1, so E[label | votes] is half each; rows 0 and 2 are
    # other people's and must not be read.
    lines = [VOTES, *(f"Training,,{a},{10 - a},0,0,0,0,0,0,0,0" for a in (10, 4, 0, 4))]
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(lines))
    faces = FaceSet(
        images=np.zeros((2, 48, 48, 1), np.uint8),
        label_indices=np.array([0, 1]),
        labels=("a", "b"),
        rows=np.array([1, 3]),
    )
    recipe = replace(RECIPE, vote_share=0.4, teacher_share=teacher_share, label_smoothing=0.1)
    found = _targets(faces, path, recipe)
    unsmoothed = np.array([[label + votes / 2, votes / 2], [votes / 2, label + votes / 2]])
    np.testing.assert_allclose(found, (1 - teacher_share) * (0.9 * unsmoothed + 0.05), atol=1e-9)


def test_votes_for_faces_that_are_no_rows_of_fer2013_are_refused(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([VOTES, *(["x,,1,9,0,0,0,0,0,0,0,0"] * 100)]))
    with pytest.raises(InputError, match="expected faces from FER-2013's csv"):
        read(replace(RECIPE, vote_share=0.5), class_folders(tmp_path / "faces", 70), votes=path)
