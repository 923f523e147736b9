from __future__ import annotations

import argparse
import json
import sys
import types
from pathlib import Path

import pytest
from train.support import csv_row, learnable_faces, run_python

from fer_edge.errors import UsageError
from fer_edge_train.commands import prepare, train_enhancer
from fer_edge_train.preparation import steps
from fer_edge_train.preparation.cleaning import CleaningOptions
from fer_edge_train.preparation.enhancer_recipe import EnhancerRecipe
from fer_edge_train.preparation.steps import PrepareOptions


def run(command, *words) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def asked(monkeypatch):
    """The options that the command prepare hands on; nothing is prepared."""
    calls: list[tuple] = []

    def stand_in(data, out, options, *, force, progress, tell):
        calls.append((data, out, options, force))
        return {"splits": {}}

    monkeypatch.setattr(steps, "prepare_to_folder", stand_in)
    return calls


def test_defaults_do_nothing_to_the_pictures(asked):
    assert run(prepare.COMMAND, "raf-db:/data/raf", "--out", "o") == 0
    assert asked == [("raf-db:/data/raf", Path("o"), PrepareOptions(), False)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--crop", "haar"], {"crop": "haar"}),
        (["--crop", "mtcnn", "--keep-without-face"], {"crop": "mtcnn", "keep_without_face": True}),
        (["--size", "64"], {"size_px": 64}),
        (["--channels", "3"], {"channels": 3}),
        (["--skip-bad"], {"skip_bad": True}),
        (["--clean"], {"clean": CleaningOptions()}),
        (["--clean", "--conflicts", "first"], {"clean": CleaningOptions(conflicts="first")}),
        (["--clean", "--near-constant-std", "0"], {"clean": CleaningOptions(near_constant_std=0.0)}),
        (["--held-out", "0.1"], {"held_out_fraction": 0.1}),
        (["--enhance", "m"], {"enhance": Path("m")}),
        (["--balance"], {"max_factor": 3}),
        (["--balance", "--max-factor", "2"], {"max_factor": 2}),
        (["--seed", "7"], {"seed": 7}),
    ],
)
def test_an_option_of_prepare_sets_its_field(asked, words, expected):
    run(prepare.COMMAND, "d", "--out", "o", *words)
    assert asked[0][2] == PrepareOptions(**expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--conflicts", "first"], "say how to clean; add --clean or leave them away"),
        (["--near-constant-std", "1"], "say how to clean; add --clean or leave them away"),
        (["--max-factor", "2"], "--max-factor says how to balance; add --balance or leave it away"),
        (["--keep-without-face"], "needs a crop that looks for one"),
    ],
)
def test_options_that_would_do_nothing_are_refused(asked, words, message):
    with pytest.raises(UsageError, match=message):
        run(prepare.COMMAND, "d", "--out", "o", *words)
    assert asked == []


@pytest.fixture
def csv_path(write_csv):
    images, _ = learnable_faces(9, 1)
    labels = [0, 0, 0, 0, 0, 0, 1, 1, 0]
    rows = [
        csv_row(label, image, "Training" if i < 8 else "PublicTest")
        for i, (label, image) in enumerate(zip(labels, images, strict=True))
    ]
    return write_csv(rows)


def test_the_table(csv_path, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(prepare.COMMAND, csv_path, "--out", out, "--clean", "--balance", "--max-factor", "2") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[:2] == [str(out), ""]
    assert [line.split() for line in lines[2:]] == [
        ["class", "Training", "PublicTest"],
        ["angry", "6", "1"],
        ["disgust", "4", "0"],
        *([label, "0", "0"] for label in ("fear", "happy", "sad", "surprise", "neutral")),
        ["all", "10", "1"],
    ]
    assert len({len(line) for line in lines[2:]}) == 1
    assert captured.err.splitlines()[0] == "read: 8 Training, 1 PublicTest"


def test_the_record(csv_path, tmp_path, capsys):
    assert run(prepare.COMMAND, csv_path, "--out", tmp_path / "out", "--json") == 0
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert json.loads(text) == json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))


@pytest.fixture
def trained(monkeypatch):
    """What the command train-enhancer hands to the run, which is not started."""
    calls: list[tuple] = []
    stand_in = types.ModuleType("fer_edge_train.preparation.enhancer_run")
    stand_in.train_enhancer_to_folder = lambda recipe, *, tell, **options: calls.append((recipe, options))
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setattr("fer_edge_train.backend.import_keras", lambda: None)
    return calls


def test_defaults_of_train_enhancer_are_the_recipes(trained):
    assert run(train_enhancer.COMMAND, "d", "--out", "o") == 0
    assert trained == [(EnhancerRecipe(), {"data": "d", "out": Path("o"), "force": False, "restart": False})]


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--groups", 3, "groups"),
        ("--blocks", 19, "blocks"),
        ("--filters", 64, "filters"),
        ("--channels", 3, "channels"),
        ("--epochs", 2, "epochs"),
        ("--pictures-per-epoch", 10, "pictures_per_epoch"),
        ("--batch-size", 4, "batch_size"),
        ("--peak-rate", 0.001, "peak_rate"),
        ("--held-out", 9, "held_out"),
        ("--seed", 3, "seed"),
    ],
)
def test_an_option_of_train_enhancer_sets_its_field(trained, option, value, field):
    run(train_enhancer.COMMAND, "d", "--out", "o", option, value, "--force", "--restart")
    recipe, options = trained[0]
    assert recipe == EnhancerRecipe(**{field: value})
    assert (options["force"], options["restart"]) == (True, True)


@pytest.mark.parametrize("command", ["prepare", "train_enhancer"])
def test_help_loads_nothing_heavy(tmp_path, command):
    script = f"""
import argparse, json, sys
from fer_edge_train.commands.{command} import COMMAND
COMMAND.configure(argparse.ArgumentParser())
heavy = ("keras", "tensorflow", "torch", "matplotlib", "rich", "cv2")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    assert json.loads(run_python(script, cwd=tmp_path)) == []
