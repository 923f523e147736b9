"""Training that starts from another run's weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fer_edge.errors import InputError, IntegrityError
from fer_edge.files import sha256_of_file
from fer_edge_train.recipe import Recipe
from fer_edge_train.start import factoring_images, read_start, start_weights
from fer_edge_train.zoo import build

RECIPE = Recipe(architecture="mini_xception")


@pytest.fixture(scope="module")
def model():
    return build("mini_xception", (48, 48, 1), 7)


@pytest.fixture
def folder(tmp_path, model):
    model.save(tmp_path / "model.keras")
    record = {
        "schema": "fer-edge/training-record/1",
        "command": "fer-edge train mini_xception --out first",
        "recipe": {"epochs": 3},
        "data": {"name": "FER-2013"},
        "curve": [{"train_loss": 1.5}],
        "ms_per_image": 2.5,
        "machine": None,
        "accelerator": None,
        "teachers": None,
        "started_from": None,
        "model": {
            "name": "first",
            "file": "model.keras",
            "architecture": "mini_xception",
            "sha256": sha256_of_file(tmp_path / "model.keras"),
            "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
            "input_shape_hwc": [48, 48, 1],
            "pixel_mean": 128.0,
            "pixel_std": 128.0,
        },
    }
    (tmp_path / "record.json").write_text(json.dumps(record))
    return tmp_path


def test_weights_and_history_are_those_of_the_folder(folder, model):
    start = read_start(folder, RECIPE)
    images = np.zeros((0, 48, 48, 1), np.uint8)
    for ours, theirs in zip(start_weights(start, RECIPE, images), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert start.architecture == "mini_xception"
    assert start.sha256 == sha256_of_file(folder / "model.keras")
    assert start.history == {
        "model_sha256": start.sha256,
        "architecture": "mini_xception",
        "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
        "data": {"name": "FER-2013"},
        "command": "fer-edge train mini_xception --out first",
        "recipe": {"epochs": 3},
        "curve": [{"train_loss": 1.5}],
        "ms_per_image": 2.5,
        "machine": None,
        "accelerator": None,
        "teachers": None,
        "started_from": None,
    }


def test_another_network_is_refused(folder):
    other = Recipe(architecture="mini_xception", input_shape_hwc=(64, 64, 1))
    with pytest.raises(InputError, match=r"expected mini_xception \(64, 64, 1\), found mini_xception \(48, 48, 1\)"):
        read_start(folder, other)


def test_a_network_of_low_rank_names_both_that_it_can_start_from(folder):
    other = Recipe(architecture="resnet_factored")
    with pytest.raises(InputError, match=r"expected resnet_factored or resnet_large \(48, 48, 1\), found mini_xc"):
        read_start(folder, other)


@pytest.mark.parametrize(("n", "kept"), [(1, 1), (2048, 2048), (4095, 2048), (26_804, 2048)])
def test_factoring_looks_at_images_from_all_of_the_training_part(n, kept):
    images = np.arange(n).reshape(n, 1, 1, 1)
    chosen = factoring_images(images).ravel()
    assert len(chosen) == len(np.unique(chosen)) == kept
    assert chosen[0] == 0
    assert n == 1 or chosen[-1] == n - 1
    assert len(np.unique(np.diff(chosen))) <= 2


def test_a_changed_model_file_is_refused(folder):
    with (folder / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError, match=r"model\.keras"):
        read_start(folder, RECIPE)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        read_start(tmp_path / "nowhere", RECIPE)
