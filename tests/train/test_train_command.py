from __future__ import annotations

import argparse
import json
import sys
import types
from pathlib import Path

import pytest
from train.support import run_python

from fer_edge.errors import UsageError
from fer_edge_train.augmentation import AUGMENTATIONS
from fer_edge_train.commands.train import COMMAND
from fer_edge_train.recipe import Recipe

WITHOUT_VOTES = ["mini_xception", "--data", "a.csv", "--out", "m"]


@pytest.fixture
def used():
    """What the command asks of the devices: how many, and the batch size."""
    return []


@pytest.fixture
def called(monkeypatch, used):
    """What the command hands to the training run, which is not started."""
    calls = []
    stand_in = types.ModuleType("fer_edge_train.run")
    stand_in.RunInputs = lambda **options: options
    stand_in.train_to_folder = lambda recipe, inputs, out, **options: calls.append(
        (recipe, {**inputs, "out": out, **options})
    )
    monkeypatch.setitem(sys.modules, "fer_edge_train.run", stand_in)
    folds = types.ModuleType("fer_edge_train.folds")
    folds.train_folds = lambda recipe, inputs, out, **options: calls.append(
        ("folds", recipe, {**inputs, "out": out, **options})
    )
    monkeypatch.setitem(sys.modules, "fer_edge_train.folds", folds)
    devices = types.ModuleType("fer_edge_train.devices")
    devices.use_devices = lambda *asked: used.append(asked)
    monkeypatch.setitem(sys.modules, "fer_edge_train.devices", devices)
    monkeypatch.setattr("fer_edge_train.backend.import_keras", lambda: None)
    monkeypatch.setattr("fer_edge_train.zoo.default_input_shape", lambda name: (48, 48, 1))
    monkeypatch.setattr("fer_edge_train.backend.fastest_compute_dtype", lambda: "float32")
    return calls


def run(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args(words))


def test_defaults_are_the_recipes(called):
    assert run(WITHOUT_VOTES) == 0
    recipe, options = called[0]
    assert recipe == Recipe(architecture="mini_xception")
    assert options == {
        "data": ["a.csv"],
        "votes": None,
        "out": Path("m"),
        "force": False,
        "restart": False,
        "start_from": None,
        "pretrained": None,
        "teachers": [],
        "skip_bad": False,
        "margin": 0.0,
    }


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--epochs", "3"], "epochs", 3),
        (["--batch-size", "32"], "batch_size", 32),
        (["--optimizer", "adamw"], "optimizer", "adamw"),
        (["--optimizer", "adamw"], "peak_rate", 0.002),
        (["--optimizer", "adamw", "--peak-rate", "0.1"], "peak_rate", 0.1),
        (["--momentum", "0.8"], "momentum", 0.8),
        (["--optimizer", "sgd"], "optimizer", "sgd"),
        (["--peak-rate", "0.3"], "peak_rate", 0.3),
        (["--weight-decay", "0"], "weight_decay", 0.0),
        (["--label-smoothing", "0.1"], "label_smoothing", 0.1),
        (["--validation-fraction", "0"], "validation_fraction", 0.0),
        (["--seed", "7"], "seed", 7),
        (["--split-seed", "7"], "split_seed", 7),
        (["--views", "24"], "views", 24),
        (["--recall", "fear=0.5", "--recall", "disgust=0.6"], "recall_floors", (("fear", 0.5), ("disgust", 0.6))),
        (["--schedule", "attenuation"], "schedule", "attenuation"),
        (["--average-decay", "0"], "average_decay", 0.0),
        (["--patience", "50"], "patience", 50),
        (["--compute", "bfloat16"], "compute_dtype", "bfloat16"),
        (["--augment", "strong"], "augmentation", AUGMENTATIONS["strong"]),
        (["--teacher", "a", "--teacher", "b"], "teacher_share", 0.5),
        (["--teacher", "a", "--teacher-share", "0.9"], "teacher_share", 0.9),
        (["--class-weight-power", "0.5"], "class_weight_power", 0.5),
        (["--focal-gamma", "2"], "focal_gamma", 2.0),
        (["--test-share", "0.25"], "test_share", 0.25),
        (["--keep-test-copies"], "keep_test_copies", True),
        (["--by-subject"], "by_subject", True),
        (["--fold", "2/4"], "fold", (2, 4)),
        (["--input-px", "24"], "input_shape_hwc", (24, 24, 1)),
        (["--votes", "v.csv"], "vote_share", 0.5),
        (["--votes", "v.csv", "--vote-share", "0.25"], "vote_share", 0.25),
        ([], "vote_share", 0.0),
    ],
)
def test_an_option_sets_its_field(called, words, field, value):
    run([*WITHOUT_VOTES, *words])
    recipe, options = called[0]
    assert getattr(recipe, field) == value
    assert options["votes"] == (Path("v.csv") if "--votes" in words else None)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--teacher", "a", "--teacher", "b"], "teachers", [Path("a"), Path("b")]),
        (["--data", "raf-db:b"], "data", ["a.csv", "raf-db:b"]),
        (["--pretrained", "imagenet"], "pretrained", "imagenet"),
        (["--crop-margin", "0.1"], "margin", 0.1),
        (["--skip-bad"], "skip_bad", True),
    ],
)
def test_what_the_run_reads_is_handed_on(called, words, name, value):
    run([*WITHOUT_VOTES, *words])
    assert called[0][1][name] == value


@pytest.mark.parametrize("text", ["4", "a/b", "1/4/2", "-1/4"])
def test_a_fold_of_another_form_is_refused_by_the_parser(called, capsys, text):
    with pytest.raises(SystemExit):
        run([*WITHOUT_VOTES, f"--fold={text}"])
    assert f"argument --fold: expected I/K, e.g. 1/4, found '{text}'" in capsys.readouterr().err


def test_folds_are_handed_on_with_the_recipe_of_the_first(called):
    assert run([*WITHOUT_VOTES, "--folds", "4", "--force"]) == 0
    run([*WITHOUT_VOTES, "--fold", "1/4", "--force"])
    name, recipe, options = called[0]
    assert name == "folds"
    assert (recipe, options) == called[1]
    assert recipe.fold == (1, 4)


@pytest.mark.parametrize("n", [-1, 0, 1, 101])
def test_numbers_of_folds_out_of_bounds_are_refused_before_keras_is_imported(called, monkeypatch, n):
    monkeypatch.setattr("fer_edge_train.backend.import_keras", lambda: pytest.fail("imported"))
    with pytest.raises(UsageError) as caught:
        run([*WITHOUT_VOTES, f"--folds={n}"])
    assert str(caught.value) == f"--folds: expected 2 to 100, found {n}"


def test_one_fold_and_all_of_them_are_refused_together(called, capsys):
    with pytest.raises(SystemExit):
        run([*WITHOUT_VOTES, "--fold", "1/4", "--folds", "4"])
    assert "argument --folds: not allowed with argument --fold" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--fold", "1/4"], ["--folds", "4"]], ids=" ".join)
def test_no_test_part_is_allowed_with_folds_alone(called, words):
    run([*WITHOUT_VOTES, *words, "--test-share", "0"])
    assert called[0][-2].test_share == 0.0
    with pytest.raises(UsageError, match=r"test_share: expected 0\.01 to 0\.9, found 0"):
        run([*WITHOUT_VOTES, "--test-share", "0"])


@pytest.mark.parametrize(("words", "asked"), [([], 1), (["--devices", "2"], 2), (["--devices", "all"], None)])
def test_devices_are_asked_for_with_the_batch_size(called, used, words, asked):
    run([*WITHOUT_VOTES, "--batch-size", "32", *words])
    assert used == [(asked, 32)]


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_devices_of_another_form_are_refused_by_the_parser(called, capsys, text):
    with pytest.raises(SystemExit):
        run([*WITHOUT_VOTES, f"--devices={text}"])
    assert f"argument --devices: expected a number of at least 1 or all, found '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["fear", "=0.5", "fear=half"])
def test_a_recall_of_another_form_is_refused_by_the_parser(called, capsys, text):
    with pytest.raises(SystemExit):
        run([*WITHOUT_VOTES, "--recall", text])
    assert f"argument --recall: expected CLASS=SHARE, e.g. fear=0.5, found '{text}'" in capsys.readouterr().err


def test_a_momentum_that_nobody_would_use_is_refused(called):
    with pytest.raises(UsageError, match="--momentum is of SGD; adamw keeps its own, leave it away"):
        run([*WITHOUT_VOTES, "--optimizer", "adamw", "--momentum", "0.8"])


@pytest.mark.parametrize("flag", ["force", "restart"])
def test_a_flag_is_handed_on(called, flag):
    run([*WITHOUT_VOTES, f"--{flag}"])
    assert called[0][1][flag] is True


def test_a_start_is_handed_on_unread(called, tmp_path):
    assert run([*WITHOUT_VOTES, "--start-from", str(tmp_path / "nowhere")]) == 0
    recipe, options = called[0]
    assert options["start_from"] == tmp_path / "nowhere"
    assert recipe.start_from_sha256 is None  # the run reads the folder and fills it in


def test_an_unknown_optimizer_is_refused_by_the_parser(called, capsys):
    with pytest.raises(SystemExit) as caught:
        run([*WITHOUT_VOTES, "--optimizer", "adam"])
    assert caught.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "argument --optimizer: invalid choice: 'adam'" in message
    assert "sgd" in message
    assert "adamw" in message
    assert called == []


def test_a_value_out_of_bounds_is_refused_before_keras_is_imported(called, monkeypatch):
    monkeypatch.setattr("fer_edge_train.backend.import_keras", lambda: pytest.fail("imported"))
    with pytest.raises(UsageError, match="epochs: expected 0 to 100000, found -1"):
        run([*WITHOUT_VOTES, "--epochs", "-1"])


def test_help_loads_nothing_heavy(tmp_path):
    script = """
import argparse, json, sys
from fer_edge_train.augmentation import AUGMENTATIONS
from fer_edge_train.commands.train import COMMAND
COMMAND.configure(argparse.ArgumentParser())
heavy = ("keras", "tensorflow", "torch", "matplotlib", "rich", "cv2")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    assert json.loads(run_python(script, cwd=tmp_path)) == []
