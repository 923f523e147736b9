from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.preparation.cleaning import CleaningOptions, Removal, clean

LABELS = ("happy", "sad")


def picture(name: str) -> np.ndarray:
    """A picture that the name decides: "black" and "gray" are plain, "dim" varies by 1, others are random."""
    if name in ("black", "gray"):
        return np.full((8, 8, 1), {"black": 0, "gray": 90}[name], np.uint8)
    if name == "dim":
        return (np.indices((8, 8)).sum(axis=0) % 2 + 40).astype(np.uint8)[..., np.newaxis]
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(0, 256, (8, 8, 1), dtype=np.uint8)


def faces(*pictures: tuple[str, str], first_row: int = 0) -> FaceSet:
    return FaceSet(
        images=np.stack([picture(name) for name, _ in pictures]),
        label_indices=np.array([LABELS.index(label) for _, label in pictures], dtype=np.int64),
        labels=LABELS,
        rows=np.arange(first_row, first_row + len(pictures)),
    )


def removed(report) -> list[tuple]:
    return [(item.row, item.reason, item.same_as_split, item.same_as_source) for item in report.removed]


def test_each_reason_by_row():
    training = faces(
        ("a", "happy"),
        ("black", "happy"),
        ("a", "happy"),
        ("dim", "sad"),
        ("b", "sad"),
        ("c", "happy"),
        ("c", "sad"),
        ("black", "sad"),
        ("d", "sad"),
        ("a", "happy"),
    )
    test = faces(("x", "sad"), ("b", "happy"), ("x", "sad"), ("gray", "sad"), first_row=50)
    sets, report = clean({"train": training, "test": test}, training="train")
    assert removed(report) == [
        (1, "constant", None, None),
        (2, "duplicate", "train", "row 1"),
        (3, "near_constant", None, None),
        (4, "in_other_split", "test", "row 52"),
        (5, "conflicting_duplicate", "train", "row 7"),
        (6, "conflicting_duplicate", "train", "row 6"),
        (7, "constant", None, None),
        (9, "duplicate", "train", "row 1"),
    ]
    assert report.removed[3] == Removal(
        row=4, source="row 5", label="sad", reason="in_other_split", same_as_split="test", same_as_source="row 52"
    )
    assert sets["train"].rows.tolist() == [0, 8]
    assert sets["test"] is test
    assert report.to_json() == {
        "removed": {"constant": 2, "near_constant": 1, "in_other_split": 1, "conflicting_duplicate": 2, "duplicate": 2},
        "duplicates_in_training": 3,
        "conflicting_groups_in_training": 1,
        "conflicting_pictures_in_training": 2,
        "training_pictures_in_other_splits": {"test": 1},
        "of_these_with_another_label_there": {"test": 1},
        "found_and_kept_in_other_splits": {"test": {"constant": 1, "near_constant": 0, "duplicate": 1}},
    }


@pytest.mark.parametrize(
    ("rule", "kept"), [pytest.param("drop", [3], id="drop all"), pytest.param("first", [0, 3], id="keep the first")]
)
def test_copies_with_different_labels(rule, kept):
    training = faces(("c", "happy"), ("c", "sad"), ("c", "happy"), ("d", "sad"))
    sets, report = clean({"train": training}, training="train", options=CleaningOptions(conflicts=rule))
    assert sets["train"].rows.tolist() == kept
    assert report.conflicting_groups == 1
    assert report.conflicting_pictures == 3
    assert report.duplicates == 2


def test_the_copy_in_training_goes_whatever_other_split_has_it():
    training = faces(("a", "happy"), ("b", "happy"), ("b", "happy"), ("c", "sad"))
    sets, report = clean(
        {"val": faces(("b", "happy")), "train": training, "test": faces(("b", "happy"), ("a", "happy"))},
        training="train",
    )
    assert sets["train"].rows.tolist() == [3]
    assert list(sets) == ["val", "train", "test"]
    assert removed(report) == [
        (0, "in_other_split", "test", "row 2"),
        (1, "in_other_split", "val", "row 1"),
        (2, "in_other_split", "val", "row 1"),
    ]
    assert report.shared == {"val": 2, "test": 3}
    assert report.shared_with_other_label == {"val": 0, "test": 0}


@pytest.mark.parametrize(
    ("bound", "kept"),
    [pytest.param(0.0, [0, 1], id="off"), pytest.param(0.49, [0, 1], id="just"), pytest.param(0.51, [1], id="over")],
)
def test_the_bound_of_nearly_constant_pictures(bound, kept):
    # "dim" has as many pixels of 40 as of 41: standard deviation 0.5.
    sets, _ = clean(
        {"train": faces(("dim", "sad"), ("d", "sad"))},
        training="train",
        options=CleaningOptions(near_constant_std=bound),
    )
    assert sets["train"].rows.tolist() == kept


def test_a_plain_colour_is_nearly_constant():
    colour = np.broadcast_to(np.array([10, 120, 250], np.uint8), (1, 8, 8, 3))
    images = np.concatenate([colour, np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)])
    training = FaceSet(images=images, label_indices=np.zeros(2, np.int64), labels=LABELS, rows=np.arange(2))
    sets, report = clean({"train": training}, training="train")
    assert sets["train"].rows.tolist() == [1]
    assert report.counts()["near_constant"] == 1


def test_nothing_left_is_an_error():
    with pytest.raises(InputError, match="train: nothing is left of 2 pictures after cleaning; check the data"):
        clean({"train": faces(("black", "sad"), ("gray", "sad"))}, training="train")


def test_labels_must_be_the_same():
    other = FaceSet(
        images=picture("a")[np.newaxis], label_indices=np.zeros(1, np.int64), labels=("sad", "happy"), rows=np.arange(1)
    )
    with pytest.raises(InputError, match=r"test: expected the labels of train \(happy, sad\), found others"):
        clean({"train": faces(("a", "sad")), "test": other}, training="train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near_constant_std": -1.0}, "near_constant_std: expected 0 to 128, found -1"),
        ({"conflicts": "vote"}, "conflicts: expected one of drop, first, found 'vote'"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UsageError, match=message):
        CleaningOptions(**options)


@pytest.mark.data
def test_fer2013_holds_what_is_known_of_it(data_folder):
    from fer_edge_train.datasets import read_fer2013

    sets = read_fer2013(data_folder / "fer2013" / "fer2013.csv.gz", ("Training", "PublicTest"))
    _, report = clean(sets, training="Training")
    elsewhere = report.found_elsewhere["PublicTest"]
    assert report.counts()["constant"] + elsewhere["constant"] == 12
    assert report.shared == {"PublicTest": 340}
    # 11 constant pictures and these 340 are the 351 that `fer-edge train` leaves out.
    assert report.counts()["in_other_split"] == 340
    assert report.counts()["near_constant"] == 1
