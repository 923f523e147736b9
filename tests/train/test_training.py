from __future__ import annotations

import math

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge_train.augmentation import AUGMENTATIONS
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.recipe import Recipe
from fer_edge_train.soft_targets import one_hot

pytestmark = pytest.mark.host


@pytest.fixture
def training(keras):
    from fer_edge_train import training

    return training


def recipe_for(network: str, **changes) -> Recipe:
    return Recipe(
        **{
            "architecture": network,
            "epochs": 2,
            "batch_size": 16,
            "validation_fraction": 0.0,
            "average_decay": 0.0,
            **changes,
        }
    )


class Heard:
    """A progress that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def start(self, *arguments):
        self.calls.append(("start", *arguments))

    def step(self, *arguments):
        self.calls.append(("step", *arguments))

    def epoch(self, epoch, figures):
        self.calls.append(("epoch", epoch, sorted(figures)))


def train(training, recipe, tmp_path, *, targets=None, validation=None, progress=None, initial_weights=None):
    faces = learnable_set(40)
    if targets is None:
        targets = one_hot(faces.label_indices, 7)
    store = Checkpoints(tmp_path / "run")
    return training.train(
        recipe,
        faces,
        targets,
        "digest",
        validation,
        store,
        progress or training.Progress(),
        initial_weights=initial_weights,
    )


def test_progress_hears_of_every_step_and_epoch(training, tiny_network, tmp_path):
    heard = Heard()
    result = train(training, recipe_for(tiny_network), tmp_path, validation=learnable_set(14, seed=9), progress=heard)
    figures = ["input_wait_seconds", "seconds", "train_loss", "train_top1", "val_loss", "val_top1"]
    steps = [[("step", epoch, step) for step in (1, 2)] for epoch in (0, 1)]  # 40 images, batches of 16
    assert heard.calls == [("start", 2, 2, 0), *steps[0], ("epoch", 0, figures), *steps[1], ("epoch", 1, figures)]
    assert [sorted(row) for row in result.curve] == [figures, figures]
    assert result.ms_per_image > 0
    assert 0 <= result.input_wait_share < 1
    assert result.kept_epoch == 2


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "sgd"}, {"optimizer": "adamw", "peak_rate": 0.05}],
    ids=lambda changes: changes["optimizer"],
)
def test_learns_what_can_be_learnt(training, tiny_network, tmp_path, changes):
    from fer_edge_train.keras_trainer import predict_logits

    test = learnable_set(70, seed=5)
    recipe = recipe_for(tiny_network, epochs=30, augmentation=AUGMENTATIONS["none"], **changes)
    result = train(training, recipe, tmp_path, validation=test)
    assert result.curve[-1]["train_loss"] < 0.3 * result.curve[0]["train_loss"]
    predicted = predict_logits(result.model, test.images).argmax(axis=1)
    assert np.mean(predicted == test.label_indices) > 0.8
    assert result.curve[-1]["val_top1"] == pytest.approx(np.mean(predicted == test.label_indices))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_begins_with_the_weights_it_is_given(training, tiny_network, keras, tmp_path, optimizer):
    from fer_edge_train import zoo

    rng = np.random.default_rng(4)
    network = zoo.build(tiny_network, (48, 48, 1), 7)
    given = [rng.normal(0, 0.1, weight.shape).astype(np.float32) for weight in network.get_weights()]
    given[2][:], given[3][:] = 5.0, 100.0  # moving mean and variance of the one normalization
    recipe = recipe_for(tiny_network, epochs=1, peak_rate=1e-8, optimizer=optimizer)
    result = train(training, recipe, tmp_path, initial_weights=given)
    found = result.model.get_weights()
    assert [weight.name for weight in result.model.non_trainable_weights] == ["moving_mean", "moving_variance"]
    for index in (0, 1, 4, 5):
        np.testing.assert_allclose(found[index], given[index], atol=1e-6)
    # Two steps at Keras' momentum of 0.99; the batches' own moments are within -1..1 and 0..1.
    assert found[2] == pytest.approx(5.0 * 0.99**2, abs=1 - 0.99**2)
    assert found[3] == pytest.approx(100.0 * 0.99**2, abs=1 - 0.99**2)


def test_a_continued_run_leaves_the_given_weights_aside(training, tiny_network, tmp_path):
    first = train(training, recipe_for(tiny_network), tmp_path)
    zeros = [np.zeros_like(weight) for weight in first.model.get_weights()]
    again = train(training, recipe_for(tiny_network), tmp_path, initial_weights=zeros)
    for mine, theirs in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_finished_run_is_not_trained_further(training, tiny_network, tmp_path):
    first = train(training, recipe_for(tiny_network), tmp_path)
    heard = Heard()
    again = train(training, recipe_for(tiny_network), tmp_path, progress=heard)
    assert heard.calls == [("start", 2, 2, 2)]
    assert again.ms_per_image == first.ms_per_image > 0
    assert again.curve == first.curve
    for mine, theirs in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_loss_that_is_no_number_ends_the_run_and_is_not_kept(training, tiny_network, tmp_path):
    recipe = recipe_for(tiny_network, peak_rate=0.25)
    with pytest.raises(training.DivergedError) as caught:
        train(training, recipe, tmp_path, targets=np.full((40, 7), math.nan))
    assert str(caught.value) == (
        "the training loss became nan in epoch 1, expected a finite number; give a --peak-rate below 0.25 and --restart"
    )
    assert caught.value.exit_code == 1
    assert Checkpoints(tmp_path / "run").load_state() is None


def test_the_held_out_loss_is_the_cross_entropy_of_the_kept_weights(training, tiny_network, tmp_path):
    held_out = learnable_set(30, seed=9)
    result = train(training, recipe_for(tiny_network, average_decay=0.9), tmp_path, validation=held_out)
    logits = np.asarray(result.model((held_out.images.astype(np.float32) - 128) / 128)).astype(np.float64)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(probs[np.arange(30), held_out.label_indices]).mean()
    assert result.curve[-1]["val_loss"] == pytest.approx(expected, rel=1e-5)


class Scripted:
    """A trainer whose held-out loss follows a script; its one weight is the epoch."""

    def __init__(self, losses):
        self.losses, self.epoch, self.rates = losses, -1, []

    def begin_epoch(self, seed, view):
        self.epoch += 1

    def batches(self, faces, targets, weights, epoch):
        from fer_edge_train.batches import Batches, Prefetched

        return Prefetched(Batches(faces, targets, weights, recipe_for("mini_xception"), epoch))

    def step(self, batch, rate, number):
        self.rates.append(rate)

    def figures(self):
        from fer_edge_train.trainer import StepFigures

        return StepFigures(1.0, 0.5)

    def kept_weights(self):
        return [np.full(2, self.epoch, np.float32)]

    def logits(self, images):
        # The label's logit is 0, the other six equal: their cross-entropy is log(1 + 6 exp(x)).
        logits = np.full((len(images), 7), np.log((np.exp(self.losses[self.epoch]) - 1) / 6))
        logits[:, 0] = 0.0
        return logits

    def state(self):
        return {"epoch": np.array(self.epoch)}

    def restore(self, arrays):
        self.epoch = int(arrays["epoch"])


class OneWeight:
    def set_weights(self, weights):
        self.weights = weights


def scripted_run(training, monkeypatch, tmp_path, losses, **changes):
    trainer, model = Scripted(losses), OneWeight()
    monkeypatch.setattr(training, "make_trainer", lambda setup: trainer)
    monkeypatch.setattr(training.zoo, "build", lambda *arguments: model)
    held_out = learnable_set(7).take(np.zeros(3, np.int64))  # three images of the first class
    recipe = recipe_for("mini_xception", validation_fraction=0.1, epochs=len(losses), **changes)
    result = train(training, recipe, tmp_path, validation=held_out)
    return trainer, model, result


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "kept"),
    [
        pytest.param([3, 2, 1, 1.5, 1.6, 0.5], 2, 5, 3, id="stops two epochs after the best"),
        pytest.param([3, 2, 1, 1.5, 0.5, 0.6], 2, 6, 5, id="a fall in time goes on"),
        pytest.param([3, 2, 1, 1.5, 1.6, 0.5], 0, 6, 6, id="no patience asked for: the last"),
        pytest.param([3, 2, 2, 2], 3, 4, 2, id="the first of equals"),
    ],
)
def test_patience(training, monkeypatch, tmp_path, losses, patience, epochs, kept):
    _, model, result = scripted_run(training, monkeypatch, tmp_path, losses, patience=patience)
    assert len(result.curve) == epochs
    assert [row["val_loss"] for row in result.curve] == pytest.approx(losses[:epochs], rel=1e-5)
    assert result.kept_epoch == kept
    assert model.weights[0].tolist() == [kept - 1, kept - 1]


def test_the_best_weights_survive_an_interruption(training, monkeypatch, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(self, epoch, figures):
        if epoch == 3:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(training.Progress, "epoch", stop)
        with pytest.raises(StoppedError):
            scripted_run(training, monkeypatch, tmp_path, [3, 1, 2, 2.5, 2.6], patience=5)
    trainer, model, result = scripted_run(training, monkeypatch, tmp_path, [3, 1, 2, 2.5, 2.6], patience=5)
    assert len(trainer.rates) == 2  # 40 images in batches of 16, one epoch left
    assert result.kept_epoch == 2
    assert model.weights[0].tolist() == [1, 1]


def test_the_schedule_sees_the_epochs_behind_it(training, monkeypatch, tmp_path):
    losses = [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]
    trainer, _, _ = scripted_run(training, monkeypatch, tmp_path, losses, schedule="attenuation", peak_rate=0.5)
    assert trainer.rates == pytest.approx([0.5] * 20 + [0.025] * 2)


def test_other_backends_train_by_keras(training, keras):
    if keras.backend.backend() == "torch":
        pytest.skip("this process runs on torch")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(7)])
    setup = training.TrainerSetup(model=model, recipe=recipe_for("mini_xception"))
    assert type(training.make_trainer(setup)).__name__ == "KerasTrainer"
