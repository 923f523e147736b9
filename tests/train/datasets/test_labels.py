from __future__ import annotations

import pytest

from fer_edge_train.datasets.fer2013 import FER2013_LABELS
from fer_edge_train.datasets.labels import EXPRESSIONS, PAPER_A_NAMES, expression_of, known_names


@pytest.mark.parametrize(
    ("names", "expression"),
    [
        ("angry anger Anger ANGRY AN", "angry"),
        ("disgust disgusted DI", "disgust"),
        ("fear fearful afraid AF FE", "fear"),
        ("happy happiness HA", "happy"),
        ("sad sadness SA", "sad"),
        ("surprise surprised SU", "surprise"),
        ("neutral NE", "neutral"),
        ("contempt", "contempt"),
    ],
)
def test_every_naming_leads_to_one_name(names, expression):
    assert {expression_of(name) for name in names.split()} == {expression}


@pytest.mark.parametrize("name", ["", "0", "7", "bored", "faces", "happy2"])
def test_other_names_lead_to_none(name):
    assert expression_of(name) is None


def test_the_order_is_fer_2013s():
    assert EXPRESSIONS == FER2013_LABELS == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def test_paper_a_names_each_of_the_seven_once():
    assert list(PAPER_A_NAMES) == ["angry", "bored", "fear", "happy", "neutral", "sad", "surprised"]
    assert sorted(PAPER_A_NAMES.values()) == sorted(EXPRESSIONS)
    assert PAPER_A_NAMES["bored"] == "disgust"


def test_names_for_messages_are_whole_words():
    assert known_names() == (
        "angry/anger, disgust/disgusted, fear/fearful/afraid, happy/happiness, sad/sadness, surprise/surprised, "
        "neutral, contempt/contemptuous"
    )
