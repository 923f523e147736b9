from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from fer_edge_train.datasets import FaceSet
from fer_edge_train.folds_record import FoldMembers, folds_page, folds_record

LABELS = ["happy", "sad", "angry"]
# Rows are true classes. Nobody is angry, and one sad face was called so.
CONFUSIONS = [[[3, 1, 0], [2, 4, 0], [0, 0, 0]], [[2, 2, 0], [0, 3, 1], [0, 0, 0]]]


def fold_of(index: int, count: int, confusion: list[list[int]], **changes: Any) -> dict[str, Any]:
    """The parts of a training record that are read."""
    given = {"architecture": "mini_xception", "data": "fer-2013", **changes}
    right, n = sum(confusion[i][i] for i in range(3)), sum(map(sum, confusion))
    return {
        "command": f"fer-edge train --folds {count}",
        "recipe": {"fold": [index, count], "split_seed": 7, "seed": 1},
        "model": {
            "name": f"mine_fold{index}",
            "sha256": f"{index}" * 64,
            "architecture": given["architecture"],
            "labels": LABELS,
        },
        "data": {
            "name": given["data"],
            "sets": [{"name": given["data"]}],
            "votes_sha256": None,
            "divided_by": "class",
            "training_images": 100 + index,
        },
        "measured": {
            "PublicTest": {},
            f"fold {index} of {count}": {
                "top1": round(right / n, 6),
                "n": n,
                "interval95": [0.25, 0.75],
                "macro_f1": 0.5,
                "confusion": confusion,
            },
        },
        "kept_epoch": 4,
    }


def members(*folds: tuple[str, str]) -> list[FoldMembers]:
    """Folds of faces and people, each given as letters."""
    return [FoldMembers(sources=tuple(sources), people=frozenset(people)) for sources, people in folds]


def two_folds(**changes: Any) -> dict[str, Any]:
    records = [fold_of(i, 2, confusion, **changes) for i, confusion in enumerate(CONFUSIONS, start=1)]
    return folds_record(name="mine", records=records, members=members(("ab", ""), ("cd", "")))


def test_what_the_folds_say_together_by_hand():
    record = two_folds()
    # 7 of 10 and 5 of 8 are right: 0.7 and 0.625, whose deviations from 0.6625 are 0.0375 each.
    assert [fold["top1"] for fold in record["folds"]] == [0.7, 0.625]
    assert record["top1_mean"] == 0.6625
    assert record["top1_deviation"] == pytest.approx(math.sqrt(2 * 0.0375**2), abs=1e-6)
    pooled = record["pooled"]
    assert pooled["confusion"] == [[5, 3, 0], [2, 7, 1], [0, 0, 0]]
    assert (pooled["n"], pooled["top1"]) == (18, round(12 / 18, 6))
    assert pooled["recall"] == {"happy": 0.625, "sad": 0.7, "angry": None}
    assert pooled["precision"] == {"happy": round(5 / 7, 6), "sad": 0.7, "angry": 0.0}
    # F1 is 2 TP / (2 TP + FP + FN): 10 / 15, 14 / 20 and 0 / 1.
    assert pooled["macro_f1"] == pytest.approx((10 / 15 + 14 / 20 + 0) / 3, abs=1e-6)
    # Wilson's interval solves |12/18 - p| = z sqrt(p (1 - p) / 18).
    for p in pooled["interval95"]:
        assert abs(12 / 18 - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / 18), abs=1e-5)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_the_record_names_what_made_the_folds():
    record = two_folds()
    assert record["schema"] == "fer-edge/folds-record/1"
    assert record["command"] == "fer-edge train --folds 2"
    assert record["recipe"] == {"split_seed": 7, "seed": 1}
    assert [(fold["folder"], fold["model_sha256"][0], fold["training_images"]) for fold in record["folds"]] == [
        ("mine_fold1", "1", 101),
        ("mine_fold2", "2", 102),
    ]


def division(*folds: tuple[str, str]) -> tuple[str, int | None]:
    records = [fold_of(i, len(folds), CONFUSIONS[0]) for i in range(1, len(folds) + 1)]
    record = folds_record(name="mine", records=records, members=members(*folds))
    return record["division_sha256"], record["people_in_several_folds"]


def test_a_division_is_named_by_which_face_is_in_which_fold():
    same = division(("ab", ""), ("cd", ""))[0]
    assert division(("ba", ""), ("cd", ""))[0] == same
    others = [(("ac", ""), ("bd", "")), (("cd", ""), ("ab", "")), (("a", ""), ("bcd", ""))]
    assert len({same, *(division(*folds)[0] for folds in others)}) == 4


@pytest.mark.parametrize(
    ("folds", "n"),
    [
        ((("ab", ""), ("cd", "")), None),
        ((("ab", "x"), ("cd", "y"), ("ef", "z")), 0),
        ((("ab", "xy"), ("cd", "yz"), ("ef", "yz")), 2),
    ],
    ids=["nobody is known", "each in one", "two in several"],
)
def test_people_in_several_folds_are_counted_once(folds, n):
    assert division(*folds)[1] == n


def test_members_are_what_the_faces_are_called():
    faces = FaceSet(
        images=np.zeros((3, 2, 2, 1), np.uint8),
        label_indices=np.zeros(3, np.int64),
        labels=("a",),
        rows=np.array([4, 0, 2]),
        subjects=np.array(["S1", "", "S1"]),
    )
    assert FoldMembers.of(faces) == FoldMembers(sources=("row 5", "row 1", "row 3"), people=frozenset({"S1"}))


@pytest.mark.parametrize(
    ("n_folds", "changes", "difference"),
    [
        pytest.param(4, {"architecture": "mobilenet_v2", "data": "expw"}, 0.7 - 0.712, id="as published"),
        pytest.param(4, {"architecture": "efficientnet_b0", "data": "expw"}, 0.7 - 0.717, id="the other network"),
        pytest.param(4, {"architecture": "mobilenet_v2"}, None, id="other data"),
        pytest.param(5, {"architecture": "mobilenet_v2", "data": "expw"}, None, id="other folds"),
    ],
)
def test_the_mean_is_compared_with_what_is_published_of_the_same(n_folds, changes, difference):
    records = [fold_of(i, n_folds, CONFUSIONS[0], **changes) for i in range(1, n_folds + 1)]
    record = folds_record(name="mine", records=records, members=members(*[("a", "")] * n_folds))
    published = record["published"]
    assert published["top1"] == {"mobilenet_v2": 0.712, "efficientnet_b0": 0.717}[changes["architecture"]]
    page = folds_page(record)
    if difference is None:
        assert published["difference"] is None
        assert "the figures do not compare" in page
    else:
        assert published["difference"] == pytest.approx(difference, abs=1e-6)
        assert f"The mean of these folds is {100 * difference:+.2f} points from it." in page


def test_the_page_says_what_the_record_does():
    page = folds_page(two_folds())
    for line in (
        "# mine: 2 folds",
        "each of 18 images was answered once",
        "| [1](mine_fold1/README.md) | 101 | 10 | 70.00 (25.00 to 75.00) | 0.5000 | 4 |",
        "| [2](mine_fold2/README.md) | 102 | 8 | 62.50 (25.00 to 75.00) | 0.5000 | 4 |",
        "| mean of the folds | **66.25 %** |",
        "| standard deviation of the folds (n - 1) | 5.30 points |",
        "| all answers pooled | 66.67 % (95 % interval 43.75 to 83.72, n = 18) |",
        "| sad | 10 | 70.0 |",
        "| angry | 0 | no images |",
        "None of the papers states an accuracy over folds of mini_xception; known are",
        "71.2 % of mobilenet_v2 and 71.7 % of efficientnet_b0 (Šikić et al., table III, optimized, 4 folds of 80 % of",
        "    fer-edge train --folds 2",
    ):
        assert line in page
    assert "are in more than one fold" not in page


def test_the_page_warns_of_people_in_several_folds():
    records = [fold_of(i, 2, confusion) for i, confusion in enumerate(CONFUSIONS, start=1)]
    record = folds_record(name="mine", records=records, members=members(("ab", "xy"), ("cd", "xy")))
    assert "2 people are in more than one fold, so part of the accuracy is of faces already seen." in folds_page(record)
