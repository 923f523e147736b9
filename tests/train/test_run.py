from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from train.support import HEADER, csv_row, learnable_faces, write_learnable_csv

from fer_edge.errors import InputError, IntegrityError, OutputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.metrics import accuracy
from fer_edge_train.recipe import Recipe

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("operation_by_operation")]


@pytest.fixture
def run(keras):
    for package in ("rich", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from fer_edge_train import run

    return run


@pytest.fixture
def recipe(tiny_network, request) -> Recipe:
    """A recipe of two short epochs; a test may ask for the other optimizer."""
    optimizer = getattr(request, "param", "sgd")
    return Recipe(architecture=tiny_network, epochs=2, batch_size=16, optimizer=optimizer, validation_fraction=0.1)


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder / "mine"


def train(run, recipe, data, out, **options):
    given = {"force": False, "restart": False, **options}
    flags = {name: given.pop(name) for name in ("force", "restart")}
    return run.train_to_folder(recipe, run.RunInputs(data=[str(data)], **given), out, **flags)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


KEPT_OF_A_START = (
    "command",
    "recipe",
    "data",
    "curve",
    "ms_per_image",
    "machine",
    "accelerator",
    "teachers",
    "started_from",
)
FILES = ["README.md", "curve.png", "model.keras", "record.json"]


def test_a_run_makes_a_whole_folder_and_leaves_nothing_beside(run, recipe, tiny_csv, out, keras, capsys, monkeypatch):
    command = ["train", "tiny", "--data", str(tiny_csv), f"--votes={tiny_csv}", "--out", str(out), "--seed", "1"]
    monkeypatch.setattr("sys.argv", ["/usr/bin/fer-edge", *command])
    returned = train(run, recipe, tiny_csv, out)
    assert names(out.parent) == ["mine"]
    assert names(out) == FILES

    record = json.loads((out / "record.json").read_text(), parse_constant=pytest.fail)
    assert record == returned
    assert record["schema"] == "fer-edge/training-record/1"
    assert record["command"] == "fer-edge train tiny --data tiny.csv --votes=tiny.csv --out mine --seed 1"
    assert recipe.differences(record["recipe"]) == []
    assert record["started_from"] is None
    assert record["data"] == {
        "name": "FER-2013",
        "sets": [
            {
                "name": "fer-2013",
                "title": "FER-2013",
                "licence": "research use (ICML 2013 challenge)",
                "file_sha256": sha256_of_file(tiny_csv),
                "skipped": {"bad": 0, "examples": [], "left_out": {}},
            }
        ],
        "votes_sha256": None,
        "training_images": 63,
        "training_digest": record["data"]["training_digest"],
        "held_out_images": 7,
        "held_out_digest": record["data"]["held_out_digest"],
        "divided_by": "class",
        "test_images": {"PublicTest": 21},
        "test_digests": {"PublicTest": record["data"]["test_digests"]["PublicTest"]},
        "dropped_images": 0,
        "dropped_because": "constant value, or the same pixels as an image of PublicTest",
        "test_copies_seen": {},
    }
    assert len(record["curve"]) == 2
    assert set(record["versions"]) >= {"keras", "numpy"}
    assert record["backend"] == keras.backend.backend()
    assert record["devices"] == 1

    # What the record says of the model holds for the file, measured again from the pixels.
    model = keras.saving.load_model(out / "model.keras", compile=False)
    described = record["model"]
    assert described["sha256"] == sha256_of_file(out / "model.keras")
    assert described["name"] == "mine"
    assert described["parameters"] == model.count_params()
    assert described["trainable_parameters"] == model.count_params() - 2  # one mean, one variance
    images, labels = learnable_faces(21, 2)
    logits = np.asarray(model((images[..., np.newaxis].astype(np.float32) - 128) / 128))
    right = logits.argmax(axis=1) == labels
    measured = record["measured"]["PublicTest"]
    assert measured["n"] == 21
    assert measured["top1"] == pytest.approx(right.mean(), abs=1e-6)
    assert measured["recall"] == {
        name: round(float(right[labels == index].mean()), 6) for index, name in enumerate(described["labels"])
    }

    card = (out / "README.md").read_text()
    assert f"**{100 * right.mean():.2f} %**" in card
    assert f"| happy | {100 * measured['recall']['happy']:.1f} |" in card
    assert capsys.readouterr().out == f"{out}: PublicTest {accuracy(logits.argmax(axis=1), labels)}\n"


def test_a_class_absent_from_the_test_images_has_no_recall(run, recipe, tmp_path, out):
    path = write_learnable_csv(tmp_path / "five.csv", 35, 5)
    record = train(run, recipe, path, out)
    assert record["measured"]["PublicTest"]["recall"]["neutral"] is None
    json.loads((out / "record.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert "| neutral | no images |" in (out / "README.md").read_text()


def test_leaks_and_constant_images_are_not_trained_on(run, recipe, tmp_path, out):
    lines = write_learnable_csv(tmp_path / "tiny.csv", 35, 14).read_text().splitlines()
    leak = lines[-1].replace("PublicTest", "Training")
    constant = csv_row(2, np.full((48, 48), 7), "Training")
    path = tmp_path / "leaky.csv"
    path.write_text("\n".join([*lines, leak, constant]))
    record = train(run, recipe, path, out)
    assert record["data"]["dropped_images"] == 2
    assert record["data"]["training_images"] + record["data"]["held_out_images"] == 35
    assert record["measured"]["PublicTest"]["n"] == 14


def votes_file(path: Path, n: int) -> Path:
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    rows = [
        f"{'Training' if i < 70 else 'PublicTest'},{i},{','.join('10' if j == i % 7 else '0' for j in range(10))}"
        for i in range(n)
    ]
    path.write_text("\n".join([header, *rows, ""]))
    return path


def test_votes_enter_the_targets_and_the_record(run, recipe, tiny_csv, tmp_path, out):
    votes = votes_file(tmp_path / "votes.csv", 91)
    record = train(run, replace(recipe, vote_share=0.5), tiny_csv, out, votes=votes)
    assert record["data"]["votes_sha256"] == sha256_of_file(votes)
    assert "0.5 x label + 0.5 x E[label | FER+ votes]" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"out": "there"}, UsageError, "{out} exists already; choose another name or add --force to replace it"),
        (
            {"out": "nowhere/mine"},
            OutputError,
            "cannot write {out}: the folder {parent} does not exist; create it first",
        ),
        (
            {"out": "other", "force": True},
            UsageError,
            "{out}: --force replaces a folder with record.json, found one without it; choose another name or empty it",
        ),
        (
            {"out": "file", "force": True},
            UsageError,
            "{out} is not a folder; expected the name of a folder",
        ),
        (
            {"out": "link", "force": True},
            UsageError,
            "{out}: expected a folder or nothing, found a link; choose another name",
        ),
        (
            {"architecture": "mini_xeption"},
            UsageError,
            "no network is named 'mini_xeption'; did you mean mini_xception?",
        ),
        (
            {"vote_share": 0.5},
            UsageError,
            "a vote share above 0 needs the votes: give --votes fer2013new.csv",
        ),
        (
            {"votes": Path("votes.csv")},
            UsageError,
            "a vote share of 0 leaves votes.csv unused; leave --votes away or raise --vote-share",
        ),
        (
            {"teachers": [Path("nowhere")]},
            UsageError,
            "--teacher and a --teacher-share above 0 go together; give both or neither",
        ),
        (
            {"teacher_share": 0.5},
            UsageError,
            "--teacher and a --teacher-share above 0 go together; give both or neither",
        ),
        (
            {"start_from": Path("nowhere"), "pretrained": "imagenet"},
            UsageError,
            "--start-from and --pretrained both give the initial weights; choose one",
        ),
        (
            {"teachers": [Path("nowhere")], "teacher_share": 0.5},
            InputError,
            "cannot read nowhere/record.json: No such file or directory; "
            "expected a folder with a fer-edge/training-record/1 record",
        ),
        (
            {"start_from": Path("nowhere")},
            InputError,
            "cannot read nowhere/record.json: No such file or directory; "
            "expected a folder with a fer-edge/training-record/1 record",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(run, recipe, tmp_path, monkeypatch, options, error, message):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "record.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("there")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(run, "read_sets", lambda *_, **__: pytest.fail("the data was read"))
    changes = {name: options.pop(name) for name in ("architecture", "vote_share", "teacher_share") if name in options}
    out = tmp_path / options.pop("out", "new")
    with pytest.raises(error) as caught:
        train(run, replace(recipe, **changes), tmp_path / "data.csv", out, **options)
    assert str(caught.value) == message.format(out=out, parent=out.parent)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_place_without_a_name_is_refused(run, recipe, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="expected a folder with a name of its own"):
        train(run, recipe, tmp_path / "data.csv", Path(name), force=True)


def test_training_images_that_are_all_useless_are_an_input_error(run, recipe, tmp_path, out):
    path = tmp_path / "constant.csv"
    rows = [csv_row(0, np.full((48, 48), value), "Training") for value in (1, 2)]
    path.write_text("\n".join([HEADER, *rows, csv_row(0, learnable_faces(1, 0)[0], "PublicTest")]))
    with pytest.raises(
        InputError, match="expected training images, found 2 that are one constant value or tested on too"
    ):
        train(run, recipe, path, out)
    assert names(out.parent) == []


def test_too_few_votes_are_an_input_error(run, recipe, tiny_csv, tmp_path, out):
    votes = votes_file(tmp_path / "votes.csv", 50)
    with pytest.raises(
        InputError, match=r"at least \d+\), found 50; it must be the FER\+ file of the same fer2013.csv"
    ):
        train(run, replace(recipe, vote_share=0.5), tiny_csv, out, votes=votes)


class Interrupting:
    """A progress at which somebody presses Ctrl-C after one epoch and one step."""

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        return None

    def start(self, *arguments):
        pass

    def step(self, epoch, step):
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    def epoch(self, *arguments):
        pass


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where runs that several tests begin with lie for those that come after the first."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def interrupted(run, recipe, tiny_csv, out, monkeypatch, capsys, kept):
    """A run of two epochs that was interrupted in the second."""
    partial, once = out.with_name("mine.partial"), kept / f"interrupted of {recipe.optimizer}"
    if once.exists():
        shutil.copytree(once, partial)
        return
    with monkeypatch.context() as patch:
        patch.setattr(run, "make_progress", lambda stream: Interrupting())
        with pytest.raises(KeyboardInterrupt):
            train(run, recipe, tiny_csv, out)
    assert capsys.readouterr().err == (
        f"fer-edge: interrupted; 1 of 2 epochs are kept in {out}.partial, the same command continues\n"
    )
    assert names(out.parent) == ["mine.partial"]
    shutil.copytree(partial, once)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("recipe", ["sgd", "adamw"], indirect=True)
def test_an_interrupted_run_goes_on_to_the_same_weights(run, recipe, tiny_csv, out, keras, capsys):
    train(run, recipe, tiny_csv, out)
    assert capsys.readouterr().err.splitlines()[0] == "continuing after 1 of 2 epochs of 4 steps"
    assert names(out.parent) == ["mine"]
    whole = out.with_name("whole")
    train(run, recipe, tiny_csv, whole)
    pair = [keras.saving.load_model(folder / "model.keras").get_weights() for folder in (out, whole)]
    for resumed, uninterrupted in zip(*pair, strict=True):
        np.testing.assert_allclose(resumed, uninterrupted, atol=1e-6)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"peak_rate": 0.2}, "peak_rate"),
        ({"batch_size": 32, "weight_decay": 0.0}, "batch_size, weight_decay"),
        ({"split_seed": 1}, "split_seed, data"),  # other images are held out
    ],
)
def test_another_recipe_is_refused_and_named(run, recipe, tiny_csv, out, changes, named):
    with pytest.raises(UsageError) as caught:
        train(run, replace(recipe, **changes), tiny_csv, out)
    assert str(caught.value) == (
        f"{out}.partial holds an unfinished run with another {named}; "
        "repeat its options to continue it, or add --restart to forget it"
    )
    assert Checkpoints(out.with_name("mine.partial")).load_state().epochs_done == 1


@pytest.mark.usefixtures("interrupted")
def test_other_data_is_refused_and_named(run, recipe, tmp_path, out):
    with pytest.raises(UsageError, match="holds an unfinished run with another data; "):
        train(run, recipe, write_learnable_csv(tmp_path / "other.csv", 77, 21), out)


@pytest.fixture
def first(run, recipe, tiny_csv, out, capsys, kept) -> Path:
    """A finished run's folder, made from another seed than the recipe's; a copy for each test."""
    folder, once = out.with_name("first"), kept / f"first of {recipe.optimizer}"
    if not once.exists():
        train(run, replace(recipe, seed=5, peak_rate=0.3), tiny_csv, folder)
        capsys.readouterr()
        folder.rename(once)
    shutil.copytree(once, folder)
    return folder


def trainable_weights(keras, folder: Path) -> list[np.ndarray]:
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return [np.asarray(weight) for weight in model.trainable_weights]


@pytest.mark.parametrize("recipe", ["sgd", "adamw"], indirect=True)
def test_a_run_starts_from_another_runs_weights(run, recipe, tiny_csv, out, keras, first):
    still = replace(recipe, epochs=1, peak_rate=1e-8)
    record = train(run, still, tiny_csv, out, start_from=first)
    for mine, theirs in zip(trainable_weights(keras, out), trainable_weights(keras, first), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)

    # Nothing of this comes from the rate alone: without the start the weights are others.
    alone = out.with_name("alone")
    train(run, still, tiny_csv, alone)
    kernels = [trainable_weights(keras, folder)[2] for folder in (alone, first)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1

    before = json.loads((first / "record.json").read_text())
    digest = sha256_of_file(first / "model.keras")
    assert record["recipe"]["start_from_sha256"] == digest
    assert record["started_from"] == {
        "model_sha256": digest,
        "architecture": before["model"]["architecture"],
        "labels": before["model"]["labels"],
        **{key: before[key] for key in KEPT_OF_A_START},
    }
    assert f"The initial weights came from\n\n    {before['command']}\n" in (out / "README.md").read_text()


def test_recalls_asked_for_are_reached_on_held_out_images_and_told(run, recipe, tiny_csv, out, keras):
    asked = replace(recipe, validation_fraction=0.4, recall_floors=(("fear", 0.7),))
    record = train(run, asked, tiny_csv, out)
    shifted = record["shifted_decision"]
    assert list(shifted["offsets"]) == ["fear"]
    assert shifted["recall_after"]["fear"] >= 0.7
    assert record["recipe"]["recall_floors"] == {"fear": 0.7}

    plain = out.with_name("plain")
    assert train(run, replace(asked, recall_floors=()), tiny_csv, plain)["shifted_decision"] is None
    mine, theirs = (keras.saving.load_model(folder / "model.keras").get_weights() for folder in (out, plain))
    for ours, other in zip(mine[:-1], theirs[:-1], strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-6)
    offsets = np.zeros(7)
    offsets[2] = shifted["offsets"]["fear"]
    np.testing.assert_allclose(mine[-1] - theirs[-1], offsets, atol=1e-5)
    assert offsets.any()
    assert f"Then logits were raised: fear by {offsets[2]:.2f}." in (out / "README.md").read_text()


@pytest.fixture
def start(run, recipe, tiny_csv, out, capsys) -> Path:
    """A finished run that held out enough for recalls."""
    folder = out.with_name("start")
    train(run, replace(recipe, validation_fraction=0.4), tiny_csv, folder)
    capsys.readouterr()
    return folder


def test_no_epochs_shift_the_decision_of_a_start_and_nothing_else(run, recipe, tiny_csv, out, keras, start):
    asked = replace(recipe, epochs=0, validation_fraction=0.4, recall_floors=(("fear", 0.9),))
    record = train(run, asked, tiny_csv, out, start_from=start)
    assert (record["curve"], record["ms_per_image"], record["kept_epoch"]) == ([], 0.0, 0)
    mine, theirs = (keras.saving.load_model(folder / "model.keras").get_weights() for folder in (out, start))
    for ours, other in zip(mine[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(ours, other)
    assert mine[-1][2] - theirs[-1][2] == pytest.approx(record["shifted_decision"]["offsets"]["fear"], abs=1e-5)
    assert names(out) == ["README.md", "model.keras", "record.json"]
    card = (out / "README.md").read_text()
    assert "This run trained nothing. The initial weights came from" in card
    assert "curve.png" not in card
    assert "training time" not in card


@pytest.fixture
def whole(run, recipe, tiny_csv, out, tiny_factored_networks, capsys) -> Path:
    """A finished run of a network that another one of the zoo has in low rank."""
    folder = out.with_name("whole")
    train(run, replace(recipe, architecture="whole", epochs=6, validation_fraction=0.4), tiny_csv, folder)
    capsys.readouterr()
    return folder


@pytest.fixture
def factoring(recipe) -> Recipe:
    return replace(recipe, architecture="factored", epochs=0, validation_fraction=0.4)


def test_a_network_of_low_rank_starts_from_the_whole_one(run, recipe, factoring, tiny_csv, out, keras, whole, capsys):
    from fer_edge_train.low_rank import factor
    from fer_edge_train.training_data import read_training_data
    from fer_edge_train.zoo import build

    record = train(run, factoring, tiny_csv, out, start_from=whole)
    training = read_training_data([str(tiny_csv)], factoring, votes=None, skip_bad=False).training
    told = f"factoring 1 convolutions of whole on {len(training)} training images"
    assert told in capsys.readouterr().err
    assert record["started_from"]["architecture"] == "whole"
    assert record["started_from"]["factored_on_images"] == len(training) < 70
    assert f"(factored on {len(training)} training images); it came from" in (out / "README.md").read_text()

    # Of the training images alone: with others the weights would be others.
    wide, narrow = (keras.saving.load_model(folder / "model.keras", compile=False) for folder in (whole, out))
    expected = build("factored", (48, 48, 1), 7)
    factor(wide, expected, training.images)
    for ours, theirs in zip(narrow.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)

    # It is a start of its own, and its card has the whole history.
    tuned = out.with_name("tuned")
    train(run, replace(factoring, epochs=1), tiny_csv, tuned, start_from=out)
    card = (tuned / "README.md").read_text()
    assert card.index("The initial weights came from") < card.index("The initial weights are those of whole")


def test_a_shift_of_the_decision_is_one_of_the_factored_network(run, factoring, tiny_csv, out, keras, whole):
    plain = out.with_name("plain")
    train(run, factoring, tiny_csv, plain, start_from=whole)
    asked = replace(factoring, recall_floors=(("fear", 0.9),))
    record = train(run, asked, tiny_csv, out, start_from=whole)
    assert record["shifted_decision"]["recall_after"]["fear"] >= 0.9
    mine, theirs = (keras.saving.load_model(folder / "model.keras").get_weights() for folder in (out, plain))
    for ours, other in zip(mine[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(ours, other)


def test_an_unfinished_run_does_not_factor_again(run, factoring, tiny_csv, out, keras, whole, monkeypatch):
    plain = out.with_name("plain")
    train(run, factoring, tiny_csv, plain, start_from=whole)
    still = replace(factoring, epochs=2, peak_rate=1e-8)
    with monkeypatch.context() as stopping:
        stopping.setattr("fer_edge_train.progress._Lines.epoch", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(run, still, tiny_csv, out, start_from=whole)
    assert out.with_name("mine.partial").is_dir()
    with monkeypatch.context() as refusing:
        refusing.setattr("fer_edge_train.start.factor", _interrupt)
        train(run, still, tiny_csv, out, start_from=whole)
        with pytest.raises(KeyboardInterrupt):  # a run that begins anew does
            train(run, still, tiny_csv, out, start_from=whole, restart=True, force=True)
    for mine, before in zip(trainable_weights(keras, out), trainable_weights(keras, plain), strict=True):
        np.testing.assert_allclose(mine, before, atol=1e-5)


def test_a_start_to_factor_must_be_of_the_same_division_too(run, factoring, tiny_csv, out, whole):
    with pytest.raises(UsageError, match="was trained on another division of fer-2013 than this run's"):
        train(run, replace(factoring, fold=(1, 4)), tiny_csv, out, start_from=whole)


def test_factoring_what_is_factored_would_do_nothing(run, factoring, tiny_csv, out, whole):
    train(run, factoring, tiny_csv, out, start_from=whole)
    message = "expected a --start-from whose decision --recall shifts, or a whole to factor"
    with pytest.raises(UsageError, match=message):
        train(run, factoring, tiny_csv, out.with_name("again"), start_from=out)


def _interrupt(*_arguments):
    raise KeyboardInterrupt


def test_no_epochs_leave_an_unfinished_run_alone(run, recipe, tiny_csv, out, start):
    unfinished = out.with_name("mine.partial")
    unfinished.mkdir()
    (unfinished / "state.json").write_text("{}")
    asked = replace(recipe, epochs=0, validation_fraction=0.4, recall_floors=(("fear", 0.9),))
    train(run, asked, tiny_csv, out, start_from=start, restart=True)
    assert names(unfinished) == ["state.json"]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"start_from": "start"}, "--epochs 0 trains nothing: expected a --start-from whose decision"),
        ({"recall_floors": (("fear", 0.9),)}, {}, "--epochs 0 trains nothing: expected a --start-from whose decision"),
        (
            {"recall_floors": (("fear", 0.9),), "teacher_share": 0.5},
            {"start_from": "start", "teachers": ["start"]},
            "--epochs 0 trains nothing: leave --votes and --teacher away",
        ),
        ({"epochs": 1, "views": 2}, {}, "--views saves teachers work and costs variety"),
    ],
)
def test_what_would_do_nothing_is_refused(run, recipe, tiny_csv, out, start, changes, options, message):
    known = {"start": start}
    given = {
        name: [known[each] for each in value] if isinstance(value, list) else known[value]
        for name, value in options.items()
    }
    with pytest.raises(UsageError, match=message):
        train(run, replace(recipe, **{"epochs": 0, **changes}), tiny_csv, out, **given)


def test_a_start_that_may_have_learned_the_held_out_images_is_refused(run, recipe, tiny_csv, out, start):
    asked = replace(recipe, epochs=0, validation_fraction=0.5, recall_floors=(("fear", 0.9),))
    with pytest.raises(UsageError, match="held out others; repeat its --data, --validation-fraction and --split-seed"):
        train(run, asked, tiny_csv, out, start_from=start)


@pytest.mark.usefixtures("interrupted")
def test_other_recalls_may_be_asked_of_an_unfinished_run(run, recipe, tiny_csv, out):
    assert train(run, replace(recipe, recall_floors=()), tiny_csv, out)["shifted_decision"] is None


def test_a_recall_of_an_unknown_class_is_told_before_training(run, recipe, tiny_csv, out):
    asked = replace(recipe, validation_fraction=0.4, recall_floors=(("fearful", 0.7),))
    with pytest.raises(UsageError, match="--recall fearful: expected one of angry, disgust, fear"):
        train(run, asked, tiny_csv, out)
    assert names(out.parent) == []


def test_a_model_may_be_replaced_by_one_that_started_from_it(run, recipe, tiny_csv, first):
    digest = sha256_of_file(first / "model.keras")
    train(run, recipe, tiny_csv, first, start_from=first, force=True)
    record = json.loads((first / "record.json").read_text())
    assert record["started_from"]["model_sha256"] == digest
    assert record["model"]["sha256"] == sha256_of_file(first / "model.keras") != digest


def test_a_start_of_another_network_is_refused(run, recipe, tiny_csv, out, first):
    with pytest.raises(InputError) as caught:
        train(run, replace(recipe, architecture="mini_xception"), tiny_csv, out, start_from=first)
    assert str(caught.value) == (
        f"cannot start from {first}: expected mini_xception (48, 48, 1), found tiny (48, 48, 1)"
    )
    assert names(out.parent) == ["first"]


def test_a_changed_start_is_refused(run, recipe, tiny_csv, out, first):
    with (first / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError, match="the record is of another file"):
        train(run, recipe, tiny_csv, out, start_from=first)
    assert names(out.parent) == ["first"]


@pytest.mark.parametrize("given", [[None, "first"], ["first", None], ["first", "second"]], ids=str)
def test_another_start_is_refused_and_named(run, recipe, tiny_csv, out, first, monkeypatch, given):
    train(run, replace(recipe, seed=6), tiny_csv, out.with_name("second"))
    began, goes_on = (name and out.with_name(name) for name in given)
    with monkeypatch.context() as patch:
        patch.setattr(run, "make_progress", lambda stream: Interrupting())
        with pytest.raises(KeyboardInterrupt):
            train(run, recipe, tiny_csv, out, start_from=began)
    with pytest.raises(UsageError) as caught:
        train(run, recipe, tiny_csv, out, start_from=goes_on)
    assert str(caught.value) == (
        f"{out}.partial holds an unfinished run with another start_from_sha256; "
        "repeat its options to continue it, or add --restart to forget it"
    )
    train(run, recipe, tiny_csv, out, start_from=began)
    record = json.loads((out / "record.json").read_text())
    assert (record["started_from"] is None) == (began is None)
    assert len(record["curve"]) == 2


@pytest.mark.usefixtures("interrupted")
def test_restart_forgets_the_unfinished_run(run, recipe, tiny_csv, out, capsys):
    train(run, replace(recipe, peak_rate=0.2), tiny_csv, out, restart=True)
    assert capsys.readouterr().err.splitlines()[0] == "2 epochs of 4 steps"
    assert names(out.parent) == ["mine"]


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("mistake", ["data", "teacher", "pretrained"])
def test_restart_keeps_the_unfinished_run_where_the_new_one_cannot_begin(run, recipe, tiny_csv, out, mistake):
    wrong = {
        "data": {"data": out / "typo.csv"},
        "teacher": {"teachers": [out / "typo"]},
        "pretrained": {"pretrained": "imagenet"},
    }[mistake]
    recipe = replace(recipe, teacher_share=0.5 if mistake == "teacher" else 0.0)
    with pytest.raises(UsageError if mistake == "pretrained" else InputError):
        train(run, recipe, wrong.pop("data", tiny_csv), out, restart=True, **wrong)
    assert Checkpoints(out.with_name("mine.partial")).load_state().epochs_done == 1


@pytest.mark.usefixtures("interrupted")
def test_a_run_on_another_backend_is_refused_and_named(run, recipe, tiny_csv, out, keras):
    path = out.with_name("mine.partial") / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "backend": "other"}))
    with pytest.raises(UsageError) as caught:
        train(run, recipe, tiny_csv, out)
    assert str(caught.value) == (
        f"{out}.partial holds an unfinished run on other, this is {keras.backend.backend()}; "
        "set KERAS_BACKEND=other to continue it, or add --restart to forget it"
    )


def test_a_run_that_cannot_begin_leaves_nothing(run, recipe, tiny_csv, out):
    with pytest.raises(UsageError, match="has no ImageNet weights"):
        train(run, recipe, tiny_csv, out, pretrained="imagenet")
    assert names(out.parent) == []


def test_a_start_trained_on_another_division_is_refused(run, recipe, tiny_csv, out, first):
    with pytest.raises(UsageError, match="was trained on another division of fer-2013 than this run's"):
        train(run, replace(recipe, fold=(1, 4)), tiny_csv, out, start_from=first)
    assert names(out.parent) == ["first"]


def test_a_file_in_the_place_of_the_partial_folder_is_told_before_training(run, recipe, tiny_csv, out, monkeypatch):
    out.with_name("mine.partial").write_text("mine")
    monkeypatch.setattr(run, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(
        OutputError, match=r"mine\.partial: File exists; expected a folder for the unfinished run there"
    ):
        train(run, recipe, tiny_csv, out)


def old_model_folder(out: Path) -> None:
    out.mkdir()
    (out / "record.json").write_text("old")
    (out / "notes.txt").write_text("old")


def test_force_replaces_the_whole_folder(run, recipe, tiny_csv, out):
    old_model_folder(out)
    train(run, recipe, tiny_csv, out, force=True)
    assert names(out) == FILES
    assert names(out.parent) == ["mine"]


@pytest.mark.parametrize("failing", ["plot_curve", "rename"])
def test_a_failure_with_force_leaves_the_old_folder_and_the_trained_weights(
    run, recipe, tiny_csv, out, monkeypatch, failing
):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    old_model_folder(out)
    replace_path = Path.replace

    def rename(self, target):
        return full() if self.name == ".mine.staging" else replace_path(self, target)

    with monkeypatch.context() as patch:
        if failing == "rename":
            patch.setattr(Path, "replace", rename)
        else:
            patch.setattr(run, failing, full)
        with pytest.raises(OutputError) as caught:
            train(run, recipe, tiny_csv, out, force=True)
    assert str(caught.value) == f"cannot write {out}: No space left on device; the trained weights are kept"
    assert names(out) == ["notes.txt", "record.json"]
    assert names(out.parent) == ["mine", "mine.partial"]

    # The same command ends the work without training again.
    record = train(run, recipe, tiny_csv, out, force=True)
    assert record["ms_per_image"] > 0
    assert names(out) == FILES
    assert names(out.parent) == ["mine"]


def test_a_process_that_ended_between_the_renames_is_cleaned_up_after(run, recipe, tiny_csv, out):
    for left_over in (".mine.staging", ".mine.replaced"):
        old_model_folder(out.with_name(left_over))
    train(run, recipe, tiny_csv, out)
    assert names(out.parent) == ["mine"]
    assert names(out) == FILES


def test_somebody_elses_files_in_the_partial_folder_are_kept(run, recipe, tiny_csv, out):
    partial = out.with_name("mine.partial")
    partial.mkdir()
    (partial / "notes.txt").write_text("mine")
    train(run, recipe, tiny_csv, out)
    assert names(partial) == ["notes.txt"]


def test_figures_are_finite(run, recipe, tiny_csv, out):
    record = train(run, replace(recipe, validation_fraction=0.0), tiny_csv, out)
    assert all("val_top1" not in row for row in record["curve"])
    assert all(math.isfinite(value) for row in record["curve"] for value in row.values())
    assert record["data"]["held_out_images"] == 0


def test_a_run_learns_from_teachers_and_names_them(run, recipe, tiny_csv, out, first):
    taught = replace(recipe, teacher_share=0.75)
    record = train(run, taught, tiny_csv, out, teachers=[first])
    digest = sha256_of_file(first / "model.keras")
    assert record["recipe"]["teacher_sha256s"] == [digest]
    (teacher,) = record["teachers"]
    assert (teacher["name"], teacher["architecture"], teacher["model_sha256"]) == ("first", "tiny", digest)
    assert teacher["measured"]["PublicTest"]["n"] == 21
    assert "0.25 x label + 0.75 x probabilities of first" in (out / "README.md").read_text()


def test_a_teacher_of_other_pixels_is_refused(run, recipe, tiny_csv, out, first):
    taught = replace(recipe, input_shape_hwc=(24, 24, 1), teacher_share=0.5)
    with pytest.raises(InputError) as caught:
        train(run, taught, tiny_csv, out, teachers=[first])
    assert str(caught.value).startswith(
        f"{first} cannot teach: expected input shape, pixel mean and deviation ((24, 24, 1)"
    )


def test_a_network_without_imagenet_weights_says_so(run, recipe, tiny_csv, out):
    with pytest.raises(UsageError, match="tiny has no ImageNet weights; it is trained from random ones"):
        train(run, recipe, tiny_csv, out, pretrained="imagenet")
    assert names(out.parent) == []


def test_a_fold_is_trained_without_and_measured_on(run, recipe, tiny_csv, out):
    record = train(run, replace(recipe, fold=(2, 4)), tiny_csv, out)
    assert list(record["measured"]) == ["fold 2 of 4", "PublicTest"]
    n_fold = record["measured"]["fold 2 of 4"]["n"]
    assert 14 <= n_fold <= 21
    assert record["data"]["training_images"] + record["data"]["held_out_images"] == 70 - n_fold
