from __future__ import annotations

import dataclasses
import json
import math

import pytest

from fer_edge.errors import UsageError
from fer_edge_train.augmentation import Augmentation
from fer_edge_train.recipe import Recipe


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 100_001, "epochs: expected 0 to 100000, found 100001"),
        ("epochs", -3, "epochs: expected 0 to 100000, found -3"),
        ("batch_size", 1, "batch_size: expected 2 to 65536, found 1"),
        ("batch_size", 65_537, "batch_size: expected 2 to 65536, found 65537"),
        ("peak_rate", 0.0, "peak_rate: expected 1e-08 to 100, found 0"),
        ("peak_rate", math.nan, "peak_rate: expected 1e-08 to 100, found nan"),
        ("peak_rate", math.inf, "peak_rate: expected 1e-08 to 100, found inf"),
        ("momentum", 1.0, "momentum: expected 0 to 0.9999, found 1"),
        ("weight_decay", -1e-4, "weight_decay: expected 0 to 1, found -0.0001"),
        ("label_smoothing", 1.0, "label_smoothing: expected 0 to 0.99, found 1"),
        ("vote_share", 1.5, "vote_share: expected 0 to 1, found 1.5"),
        ("validation_fraction", 0.6, "validation_fraction: expected 0 to 0.5, found 0.6"),
        ("average_decay", 1.0, "average_decay: expected 0 to 0.99999, found 1"),
        ("patience", -1, "patience: expected 0 to 100000, found -1"),
        ("teacher_share", 1.1, "teacher_share: expected 0 to 1, found 1.1"),
        ("class_weight_power", 2.0, "class_weight_power: expected 0 to 1, found 2"),
        ("focal_gamma", -1.0, "focal_gamma: expected 0 to 10, found -1"),
        ("views", -1, "views: expected 0 to 100000, found -1"),
        ("recall_floors", (("fear", 1.0),), "recall of fear: expected a share between 0 and 1, found 1"),
        ("recall_floors", (("fear", 0.5), ("fear", 0.6)), "expected one recall for each class"),
        ("test_share", 0.0, "test_share: expected 0.01 to 0.9, found 0"),
        ("test_share", 0.95, "test_share: expected 0.01 to 0.9, found 0.95"),
        ("fold", (0, 4), "fold: expected i of k with 1 <= i <= k and 2 <= k <= 100, found 0 of 4"),
        ("fold", (5, 4), "fold: expected i of k with 1 <= i <= k and 2 <= k <= 100, found 5 of 4"),
        ("fold", (1, 1), "fold: expected i of k with 1 <= i <= k and 2 <= k <= 100, found 1 of 1"),
        (
            "schedule",
            "step",
            "schedule: expected one of one-cycle, cosine, constant, plateau, attenuation, found 'step'",
        ),
        ("compute_dtype", "int8", "compute_dtype: expected one of float32, bfloat16, found 'int8'"),
        ("seed", -1, "seed: expected 0 to 4294967295, found -1"),
        ("seed", 2**32, "seed: expected 0 to 4294967295, found 4294967296"),
    ],
)
def test_values_out_of_bounds_are_refused(field, value, message):
    with pytest.raises(UsageError) as caught:
        Recipe(architecture="mini_xception", **{field: value})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"patience": 5, "validation_fraction": 0.0},
            "patience 5 needs held-out images; give a validation_fraction above 0",
        ),
        (
            {"schedule": "plateau", "validation_fraction": 0.0},
            "the schedule plateau needs held-out images; give a validation_fraction above 0",
        ),
        (
            {"vote_share": 0.6, "teacher_share": 0.5},
            "expected a vote_share and a teacher_share of at most 1 together, found 0.6 and 0.5",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields, message):
    with pytest.raises(UsageError) as caught:
        Recipe(architecture="mini_xception", **fields)
    assert str(caught.value) == message


def test_folds_may_leave_no_test_part_or_one_of_the_usual_size():
    assert Recipe(architecture="mini_xception", fold=(1, 4), test_share=0.0).test_share == 0.0
    with pytest.raises(UsageError, match=r"^test_share: expected 0\.01 to 0\.9, found 0\.005$"):
        Recipe(architecture="mini_xception", fold=(1, 4), test_share=0.005)


@pytest.mark.parametrize("optimizer", ["adam", "SGD", "", None])
def test_an_optimizer_of_another_name_is_refused(optimizer):
    with pytest.raises(UsageError) as caught:
        Recipe(architecture="mini_xception", optimizer=optimizer)
    assert str(caught.value) == f"optimizer: expected one of sgd, adamw, found {optimizer!r}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("peak_rate", 1e-8),
        ("label_smoothing", 0.0),
        ("vote_share", 1.0),
        ("seed", 2**32 - 1),
        ("optimizer", "adamw"),
    ],
)
def test_bounds_themselves_are_allowed(field, value):
    assert getattr(Recipe(architecture="mini_xception", **{field: value}), field) == value


def test_a_recipe_equals_itself_after_a_journey_through_json():
    recipe = Recipe(architecture="mini_xception", peak_rate=0.1 + 1e-17, augmentation=Augmentation(brightness=1 / 3))
    assert recipe.differences(json.loads(json.dumps(recipe.to_json()))) == []


CHANGES = {
    "architecture": "other",
    "input_shape_hwc": (64, 64, 1),
    "epochs": 61,
    "batch_size": 64,
    "optimizer": "adamw",
    "schedule": "cosine",
    "peak_rate": 0.2,
    "momentum": 0.8,
    "weight_decay": 0.0,
    "label_smoothing": 0.1,
    "average_decay": 0.0,
    "patience": 5,
    "compute_dtype": "bfloat16",
    "vote_share": 0.5,
    "teacher_share": 0.5,
    "views": 3,
    "class_weight_power": 0.5,
    "recall_floors": (("fear", 0.5),),
    "focal_gamma": 2.0,
    "validation_fraction": 0.1,
    "test_share": 0.1,
    "keep_test_copies": True,
    "by_subject": True,
    "fold": (1, 4),
    "pretrained": "imagenet",
    "teacher_sha256s": ("0" * 64,),
    "seed": 1,
    "split_seed": 1,
    "start_from_sha256": "0" * 64,
    "augmentation": Augmentation(scale_range=(0.9, 1.2)),
}


def test_every_field_has_a_change_below():
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_field_is_named(field):
    recipe = Recipe(architecture="mini_xception")
    other = dataclasses.replace(recipe, **{field: CHANGES[field]})
    # The steps do not depend on the recalls: one may ask for less when the training is done.
    named = [] if field == "recall_floors" else [field]
    assert recipe.differences(json.loads(json.dumps(other.to_json()))) == named


def test_a_missing_field_is_named():
    recipe = Recipe(architecture="mini_xception")
    data = recipe.to_json()
    del data["momentum"], data["seed"]
    assert recipe.differences(data) == ["momentum", "seed"]
