from __future__ import annotations

from pathlib import Path

import pytest
from train.support import write_learnable_csv

from fer_edge.errors import UsageError
from fer_edge_train.kinship import check_kinship
from fer_edge_train.recipe import Recipe
from fer_edge_train.training_data import TrainingData, read_training_data


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    csv = write_learnable_csv(tmp_path / "a.csv", 70, 21)
    return read_training_data([str(csv)], Recipe(architecture="mini_xception"), votes=None, skip_bad=False)


def history(of: TrainingData, **changes) -> dict:
    return {"command": "fer-edge train x", "labels": list(of.training.labels), "data": of.description, **changes}


def test_a_model_of_the_same_division_may_help(data):
    check_kinship(history(data), data)


def test_a_model_of_another_data_set_may_help(data):
    other = {**data.description, "sets": [{"name": "raf-db"}], "test_digests": {"test": "ab"}}
    check_kinship(history(data, data=other), data)


@pytest.mark.parametrize("digests", [{"PublicTest": "ab"}, {}, None], ids=["another", "none", "not stated"])
def test_a_model_that_may_have_seen_the_test_images_is_refused(data, digests):
    other = {**data.description, "test_digests": digests}
    if digests is None:
        del other["test_digests"]
    with pytest.raises(UsageError) as caught:
        check_kinship(history(data, data=other), data)
    assert str(caught.value) == (
        "the model of `fer-edge train x` was trained on another division of fer-2013 than this run's, and may have "
        "seen what this run is measured on; train it with the same data, --split-seed, --fold, --test-share, "
        "--by-subject and --keep-test-copies"
    )


def test_classes_in_another_order_are_refused(data):
    turned = list(reversed(data.training.labels))
    with pytest.raises(
        UsageError, match="has the classes neutral, surprise, sad, happy, fear, disgust, angry; expected"
    ):
        check_kinship(history(data, labels=turned), data)
