from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from train.support import write_learnable_csv

from fer_edge.errors import InputError, IntegrityError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.datasets import read_dataset
from fer_edge_train.datasets.reading import ReadOptions
from fer_edge_train.recipe import Recipe

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("operation_by_operation")]

K = 2


@pytest.fixture
def folds(keras):
    for package in ("rich", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from fer_edge_train import folds

    return folds


@pytest.fixture
def recipe(tiny_network) -> Recipe:
    return Recipe(architecture=tiny_network, epochs=2, batch_size=16, validation_fraction=0.2, fold=(1, K))


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder / "mine"


def train(folds, recipe, data, out, *, force=False, restart=False, **given):
    from fer_edge_train.run import RunInputs

    return folds.train_folds(recipe, RunInputs(data=[str(data)], **given), out, force=force, restart=restart)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def weights(keras, folder: Path) -> list[np.ndarray]:
    return keras.saving.load_model(folder / "model.keras", compile=False).get_weights()


def assert_same_weights(keras, one: Path, other: Path) -> None:
    for mine, theirs in zip(weights(keras, one), weights(keras, other), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_every_fold_is_trained_and_measured_and_told_together(folds, recipe, tiny_csv, out, keras, capsys):
    record = train(folds, recipe, tiny_csv, out)
    assert names(out.parent) == ["mine"]
    assert names(out) == ["README.md", "confusion.png", "folds.json", "mine_fold1", "mine_fold2"]
    assert json.loads((out / "folds.json").read_text(), parse_constant=pytest.fail) == record

    # Each of the 70 training rows is in one fold; what the records say of it is measured again from the pixels.
    faces = read_dataset(tiny_csv, ReadOptions(size_px=48, channels=1)).split("Training")
    row_of = {digest: i for i, digest in enumerate(faces.image_digests())}
    assert len(row_of) == 70
    answered = np.zeros(70, np.int64)
    right = np.zeros(70, np.bool_)
    from fer_edge_train.training_data import read_training_data

    shares = []
    for i in range(1, K + 1):
        folder = out / f"mine_fold{i}"
        one = json.loads((folder / "record.json").read_text())
        assert one["recipe"]["fold"] == [i, K]
        assert (
            one["model"]["sha256"] == sha256_of_file(folder / "model.keras") == record["folds"][i - 1]["model_sha256"]
        )
        fold = read_training_data([str(tiny_csv)], replace(recipe, fold=(i, K)), votes=None, skip_bad=False)
        rows = np.array([row_of[digest] for digest in fold.tests[f"fold {i} of {K}"].image_digests()])
        model = keras.saving.load_model(folder / "model.keras", compile=False)
        logits = np.asarray(model((faces.images[rows].astype(np.float32) - 128) / 128))
        answered[rows] += 1
        right[rows] = logits.argmax(axis=1) == faces.label_indices[rows]
        shares.append(right[rows].mean())
        assert record["folds"][i - 1]["top1"] == pytest.approx(shares[-1], abs=1e-6)
    assert answered.tolist() == [1] * 70
    assert record["top1_mean"] == pytest.approx(np.mean(shares), abs=1e-6)
    assert record["top1_deviation"] == pytest.approx(np.std(shares, ddof=1), abs=1e-6)
    assert (record["pooled"]["n"], record["pooled"]["top1"]) == (70, pytest.approx(right.mean(), abs=1e-6))
    for index, name in enumerate(faces.labels):
        assert record["pooled"]["recall"][name] == pytest.approx(right[faces.label_indices == index].mean(), abs=1e-6)

    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if line.startswith("fold")] == [
        f"fold {i} of {K}" for i in range(1, K + 1)
    ]
    lines = said.out.splitlines()
    assert len(lines) == K + 1
    assert re.fullmatch(rf"{re.escape(str(out))}: fold 1 of {K} \d+\.\d\d % \(95 % interval .* n = \d+\)", lines[0])
    assert lines[-1] == (
        f"{out}: mean of {K} folds {100 * np.mean(shares):.2f} %, their standard deviation "
        f"{100 * np.std(shares, ddof=1):.2f} points"
    )


def test_a_fold_is_the_one_that_is_trained_alone(folds, recipe, tiny_csv, out, keras):
    from fer_edge_train.run import RunInputs, train_to_folder

    train(folds, recipe, tiny_csv, out)
    alone = out.with_name("alone")
    single = replace(recipe, fold=(2, K))
    record = train_to_folder(single, RunInputs(data=[str(tiny_csv)]), alone, force=False, restart=False)
    assert_same_weights(keras, out / "mine_fold2", alone)
    again = json.loads((out / "mine_fold2" / "record.json").read_text())
    assert (again["data"], again["measured"]) == (record["data"], record["measured"])


class StoppedError(Exception):
    """The process ends here."""


class Interrupting:
    """A progress at which somebody presses Ctrl-C after one epoch of fold 2 and one step."""

    n_started = 0

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        return None

    def start(self, *arguments):
        Interrupting.n_started += 1

    def step(self, epoch, step):
        if (Interrupting.n_started, epoch, step) == (2, 1, 1):
            raise KeyboardInterrupt

    def epoch(self, *arguments):
        pass


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where the interrupted folds lie for the tests that come after the first."""
    return tmp_path_factory.mktemp("folds") / "mine.partial"


@pytest.fixture
def interrupted(folds, recipe, tiny_csv, out, monkeypatch, capsys, kept):
    """Folds of two epochs each, interrupted in the last epoch of the second."""
    from fer_edge_train import run

    partial = out.with_name("mine.partial")
    if kept.exists():
        shutil.copytree(kept, partial)
        return partial
    with monkeypatch.context() as patch:
        patch.setattr(Interrupting, "n_started", 0)
        patch.setattr(run, "make_progress", lambda stream: Interrupting())
        with pytest.raises(KeyboardInterrupt):
            train(folds, recipe, tiny_csv, out)
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"fer-edge: interrupted; 1 of 2 epochs are kept in {partial / 'mine_fold2.partial'}, the same command continues"
    )
    assert names(out.parent) == ["mine.partial"]
    assert names(partial) == ["mine_fold1", "mine_fold2.partial"]
    shutil.copytree(partial, kept)
    return partial


def test_folds_go_on_in_the_middle_of_one(folds, recipe, tiny_csv, out, keras, capsys, interrupted):
    before = sha256_of_file(interrupted / "mine_fold1" / "model.keras")
    train(folds, recipe, tiny_csv, out)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["fold 1 of 2 is finished", "fold 2 of 2", "continuing after 1 of 2 epochs of 2 steps"]
    assert sha256_of_file(out / "mine_fold1" / "model.keras") == before
    assert names(out.parent) == ["mine"]

    whole = out.with_name("whole")
    record = train(folds, recipe, tiny_csv, whole)
    for i in range(1, K + 1):
        assert_same_weights(keras, out / f"mine_fold{i}", whole / f"whole_fold{i}")
    assert json.loads((out / "folds.json").read_text())["pooled"] == record["pooled"]


def test_finished_folds_are_not_trained_again(folds, recipe, tiny_csv, out, monkeypatch, capsys):
    """The process ends before the second fold, before the summary, and before the folder is put in place."""
    done = []
    train_divided = folds.train_divided

    def counted(run, *arguments, **options):
        done.append(run.recipe.fold)
        return train_divided(run, *arguments, **options)

    def stop(*arguments):
        raise StoppedError

    def train_first(run, *arguments, **options):
        return counted(run, *arguments, **options) if run.recipe.fold == (1, K) else stop()

    all_done = [(i, K) for i in range(1, K + 1)]
    for name, stand_in, n_done in (
        ("train_divided", train_first, 1),
        ("plot_confusion", stop, K),
        ("replace_folder", stop, K),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(folds, "train_divided", counted)
            patch.setattr(folds, name, stand_in)
            with pytest.raises(StoppedError):
                train(folds, recipe, tiny_csv, out)
        assert names(out.parent) == ["mine.partial"]
        assert done == all_done[:n_done]
    capsys.readouterr()
    monkeypatch.setattr(folds, "train_divided", stop)
    train(folds, recipe, tiny_csv, out)
    assert capsys.readouterr().err.splitlines() == [f"fold {i} of {K} is finished" for i in range(1, K + 1)]
    assert names(out.parent) == ["mine"]


OTHER_SETTINGS = [
    ({"fold": (1, 4)}, "fold, data"),
    ({"peak_rate": 0.2}, "peak_rate"),
    # The steps of a fold that is done were the same; its decision was shifted otherwise.
    ({"recall_floors": (("fear", 0.01),)}, "recall_floors"),
    ({"split_seed": 1}, "split_seed, data"),
]


def test_folds_of_other_settings_are_refused_and_named(folds, recipe, tiny_csv, tmp_path, out, interrupted):
    before = sorted(interrupted.rglob("*"))
    other = write_learnable_csv(tmp_path / "other.csv", 77, 21)
    asked = [(replace(recipe, **changes), tiny_csv, named) for changes, named in OTHER_SETTINGS]
    for changed, data, named in [*asked, (recipe, other, "data")]:
        with pytest.raises(UsageError) as caught:
            train(folds, changed, data, out)
        assert str(caught.value) == (
            f"{interrupted / 'mine_fold1'} holds a finished fold with another {named}; "
            "repeat its options to keep it, or add --restart to forget all folds"
        )
    assert sorted(interrupted.rglob("*")) == before


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_was_begun_elsewhere_or_changed_is_refused(folds, recipe, tiny_csv, out, interrupted):
    edit_json(interrupted / "mine_fold2.partial" / "state.json", data_digest="0")
    with pytest.raises(UsageError, match=r"mine_fold2\.partial holds an unfinished run with another data; repeat"):
        train(folds, recipe, tiny_csv, out)
    edit_json(interrupted / "mine_fold1" / "record.json", backend="other")
    with pytest.raises(UsageError, match=r"holds a finished fold with another backend \(other\); repeat"):
        train(folds, recipe, tiny_csv, out)
    with (interrupted / "mine_fold1" / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError, match="the record is of another file"):
        train(folds, recipe, tiny_csv, out)


def test_restart_forgets_folds_and_nothing_else(folds, recipe, tiny_csv, out, interrupted, capsys):
    (interrupted / "mine_fold7").mkdir()
    (interrupted / "mine_fold7" / "notes.txt").write_text("mine")
    (interrupted / "mine_folder").mkdir()
    (interrupted / "mine_folder" / "record.json").write_text("mine")
    train(folds, replace(recipe, epochs=1), tiny_csv, out, restart=True)
    assert [line for line in capsys.readouterr().err.splitlines() if "finished" in line or "continuing" in line] == []
    kept = {"mine_fold7", "mine_folder"}
    assert kept < set(names(out))
    assert json.loads((out / "mine_fold1" / "record.json").read_text())["recipe"]["epochs"] == 1


@pytest.mark.usefixtures("interrupted")
def test_restart_keeps_folds_where_new_ones_cannot_begin(folds, recipe, out):
    before = sorted(out.with_name("mine.partial").rglob("*"))
    with pytest.raises(InputError):
        train(folds, recipe, out / "typo.csv", out, restart=True)
    assert sorted(out.with_name("mine.partial").rglob("*")) == before


def test_a_run_without_folds_in_the_same_place_is_refused(folds, recipe, tiny_csv, out, monkeypatch):
    from fer_edge_train import run

    class Stop(Interrupting):
        def epoch(self, *arguments):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "make_progress", lambda stream: Stop())
        inputs = run.RunInputs(data=[str(tiny_csv)])
        with pytest.raises(KeyboardInterrupt):
            run.train_to_folder(replace(recipe, fold=None), inputs, out, force=False, restart=False)
    with pytest.raises(UsageError) as caught:
        train(folds, recipe, tiny_csv, out)
    assert str(caught.value) == (
        f"{out}.partial holds an unfinished run without --folds; repeat its options to continue it, choose another "
        "--out, or add --restart to forget it"
    )
    train(folds, recipe, tiny_csv, out, restart=True)
    assert Checkpoints(out).load_state() is None


def test_a_folder_of_folds_is_replaced_with_force_alone(folds, recipe, tiny_csv, out):
    train(folds, replace(recipe, epochs=1), tiny_csv, out)
    with pytest.raises(UsageError, match="exists already; choose another name or add --force to replace it"):
        train(folds, recipe, tiny_csv, out)
    train(folds, replace(recipe, epochs=1), tiny_csv, out, force=True)
    assert names(out) == ["README.md", "confusion.png", "folds.json", "mine_fold1", "mine_fold2"]
    with pytest.raises(UsageError, match=r"--force replaces a folder with folds\.json, found one without it"):
        train(folds, recipe, tiny_csv, out / "mine_fold1", force=True)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fold": None}, UsageError, "folds: expected a recipe of one of them, found one of a whole data set"),
        (
            {"fold": (1, 11)},
            InputError,
            "11 folds: expected at least 11 training images of each class, found 10 of angry, 10 of disgust, "
            "10 of fear, 10 of happy, 10 of sad, 10 of surprise, 10 of neutral; ask for fewer folds, or add a data set",
        ),
        (
            {"by_subject": True},
            InputError,
            "a split by subject needs to know who is on each of 70 faces, found 70 without a subject, e.g. not row 1; "
            "split at random instead, or before joining data sets",
        ),
        ({"architecture": "tinny"}, UsageError, "no network is named 'tinny'; did you mean tiny?"),
    ],
    ids=["no fold", "more folds than images", "nobody is known", "no network"],
)
def test_what_cannot_work_is_refused_before_any_training(
    folds, recipe, tiny_csv, out, monkeypatch, changes, error, message
):
    monkeypatch.setattr(folds, "train_divided", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(error) as caught:
        train(folds, replace(recipe, **changes), tiny_csv, out)
    assert str(caught.value) == message
    assert names(out.parent) == []


def test_a_start_that_saw_a_fold_is_refused_before_the_first_is_trained(folds, recipe, tiny_csv, out, monkeypatch):
    from fer_edge_train.run import RunInputs, train_to_folder

    start = out.with_name("start")
    train_to_folder(recipe, RunInputs(data=[str(tiny_csv)]), start, force=False, restart=False)
    monkeypatch.setattr(folds, "train_divided", lambda *_, **__: pytest.fail("trained"))
    # It fits the first fold, which it was trained without, and has seen the second.
    with pytest.raises(UsageError, match="was trained on another division of fer-2013 than this run's"):
        train(folds, recipe, tiny_csv, out, start_from=start)
    assert names(out.parent) == ["start"]
