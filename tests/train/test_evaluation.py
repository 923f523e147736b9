from __future__ import annotations

import json

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge.errors import InputError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.evaluation import check_label_names, evaluate, most_confident_mistakes

LABELS = ("angry", "calm", "surprised")
# Four angry faces, one taken for calm; two calm ones, one taken for angry; no surprised one.
ACTUAL, PREDICTED = [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]


def faces(actual: list[int]) -> FaceSet:
    n = len(actual)
    return FaceSet(
        images=np.zeros((n, 2, 2, 1), np.uint8),
        label_indices=np.array(actual, np.int64),
        labels=LABELS,
        rows=np.arange(n),
    )


def certain_to_eighty_percent(predicted: list[int]) -> np.ndarray:
    return np.where(np.arange(3) == np.array(predicted)[:, np.newaxis], 0.8, 0.1).astype(np.float32)


@pytest.fixture
def by_hand():
    return evaluate(certain_to_eighty_percent(PREDICTED), faces(ACTUAL))


def test_figures_by_hand(by_hand):
    assert by_hand.labels == LABELS
    assert by_hand.confusion.dtype == np.int64
    assert by_hand.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert by_hand.accuracy.top1 == pytest.approx(4 / 6)
    assert by_hand.accuracy.n == 6
    # All answers lie in one bin: confidence 0.8, right in 4 of 6.
    assert by_hand.calibration_error == pytest.approx(0.8 - 4 / 6, abs=1e-6)
    assert by_hand.recall == pytest.approx({"angry": 0.75, "calm": 0.5, "surprised": np.nan}, nan_ok=True)
    assert by_hand.precision == pytest.approx({"angry": 0.75, "calm": 0.5, "surprised": np.nan}, nan_ok=True)
    assert [(name, r.count, r.n, p.count, p.n) for name, r, p in by_hand.class_shares()] == [
        ("angry", 3, 4, 3, 4),
        ("calm", 1, 2, 1, 2),
        ("surprised", 0, 0, 0, 0),
    ]


def test_the_table_to_the_letter(by_hand):
    assert by_hand.to_text().split("\n") == [
        "top-1    66.67 % (95 % interval 30.00 to 90.32, n = 6)",
        "macro F1 0.6250, expected calibration error 0.1333",
        "",
        "% of each labelled class (rows) predicted as (columns); the diagonal is the recall",
        "              angry      calm surprised      n",
        "    angry      75.0      25.0       0.0      4",
        "     calm      50.0      50.0       0.0      2",
        "surprised         -         -         -      0",
        "precision      75.0      50.0         -",
    ]


def test_the_record_is_json_without_nan(by_hand):
    content = by_hand.to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content == {
        "top1": 0.666667,
        "n": 6,
        # Wilson's interval of 4 out of 6.
        "interval95": [pytest.approx(0.3000, abs=5e-5), pytest.approx(0.9032, abs=5e-5)],
        "macro_f1": 0.625,  # (6/8 + 2/4) / 2: nobody was, or was taken for, surprised
        "recall": {"angry": 0.75, "calm": 0.5, "surprised": None},
        "precision": {"angry": 0.75, "calm": 0.5, "surprised": None},
        "expected_calibration_error": 0.133333,
        "confusion": [[3, 1, 0], [1, 1, 0], [0, 0, 0]],
    }


def test_every_column_is_as_wide_as_its_title():
    labelled = learnable_set(70)
    text = evaluate(np.eye(7, dtype=np.float32)[labelled.label_indices], labelled).to_text().split("\n")
    table = text[4:]
    assert len(table) == 9
    assert {len(line) for line in table[:-1]} == {9 + 7 * 10 + 7}
    assert table[2] == "  disgust" + "".join(f" {share:>9}" for share in ("0.0", "100.0", *["0.0"] * 5)) + "     10"
    assert table[-1] == "precision" + " ".join(["", *["    100.0"] * 7])
    assert text[0].startswith("top-1    100.00 % (95 % interval ")
    assert text[0].endswith(" to 100.00, n = 70)")
    assert text[1] == "macro F1 1.0000, expected calibration error 0.0000"


def test_no_faces_are_refused():
    with pytest.raises(ValueError, match="non-empty"):
        evaluate(np.empty((0, 3), np.float32), faces([]))


def test_the_surest_mistakes_come_first_and_equal_ones_in_their_order():
    #  right 0.9, wrong 0.6, wrong 0.8, right 0.7, wrong 0.8
    probs = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.8, 0.2]], np.float32)
    actual = np.array([0, 1, 0, 1, 1])
    assert most_confident_mistakes(probs, actual, 10).tolist() == [2, 4, 1]
    assert most_confident_mistakes(probs, actual, 2).tolist() == [2, 4]
    assert most_confident_mistakes(probs, probs.argmax(axis=1), 5).tolist() == []


def test_labels_in_another_order_are_refused():
    check_label_names(LABELS, LABELS, "model")
    with pytest.raises(
        InputError, match=r"^model: expected the labels of the data \(angry, calm, surprised\), in that"
    ):
        check_label_names(LABELS[::-1], LABELS, "model")
