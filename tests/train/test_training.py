from __future__ import annotations

import math

import numpy as np
import pytest
from train.support import learnable_set

from fer_edge_train.augmentation import Augmentation
from fer_edge_train.checkpoints import Checkpoints
from fer_edge_train.recipe import Recipe
from fer_edge_train.soft_targets import one_hot

pytestmark = pytest.mark.host


@pytest.fixture
def training(keras):
    from fer_edge_train import training

    return training


def recipe_for(network: str, **changes) -> Recipe:
    return Recipe(**{"architecture": network, "epochs": 2, "batch_size": 16, "validation_fraction": 0.0, **changes})


@pytest.mark.parametrize(
    ("n_images", "batch_size", "steps"),
    [(128, 128, 1), (200, 128, 2), (190, 128, 1), (3, 128, 1), (27_800, 128, 217), (257, 1, 257)],
)
def test_steps_per_epoch(training, n_images, batch_size, steps):
    assert training.steps_per_epoch(n_images, batch_size) == steps


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_network_input_is_the_runtimes_coding_in_the_given_order(training, data_format):
    images = np.array([[[[0, 64]], [[128, 255]]]], np.uint8)  # (1, 2, 1, 2)
    found = training.network_input(images, data_format)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    expected = np.array([[[[-1.0, -0.5]], [[0.0, 127 / 128]]]], np.float32)
    if data_format == "channels_first":
        expected = expected.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found, expected)


def batches_of(training, epoch: int, *, seed: int = 1, augmentation: Augmentation | None = None):
    faces = learnable_set(50)
    targets = np.arange(50, dtype=np.float32)[:, np.newaxis]  # marks each image
    options = {} if augmentation is None else {"augmentation": augmentation}
    recipe = recipe_for("mini_xception", seed=seed, batch_size=8, **options)
    batches = training._Batches(faces, targets, recipe=recipe, epoch=epoch, data_format="channels_last")
    return faces, [batches[i] for i in range(len(batches))]


NO_CHANGE = Augmentation(
    mirror_probability=0.0,
    rotation_deg=0.0,
    scale_range=(1.0, 1.0),
    shift_fraction=0.0,
    contrast_range=(1.0, 1.0),
    brightness=0.0,
)


def test_batches_hold_each_image_once_beside_its_target(training):
    faces, batches = batches_of(training, 0, augmentation=NO_CHANGE)
    assert [len(x) for x, _ in batches] == [8] * 6  # two images wait for the next shuffle
    images, marks = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    marks = marks[:, 0].astype(int)
    assert len(set(marks)) == 48
    np.testing.assert_array_equal(images * 128 + 128, faces.images[marks])


def test_batches_are_a_function_of_seed_and_epoch(training):
    def content(epoch, seed):
        return b"".join(x.tobytes() + y.tobytes() for x, y in batches_of(training, epoch, seed=seed)[1])

    assert content(3, 1) == content(3, 1)
    assert len({content(3, 1), content(4, 1), content(3, 2)}) == 3


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
        recipe, faces, targets, validation, store, progress or training.Progress(), initial_weights=initial_weights
    )


def test_progress_hears_of_every_step_and_epoch(training, tiny_network, tmp_path):
    heard = Heard()
    result = train(training, recipe_for(tiny_network), tmp_path, validation=learnable_set(14, seed=9), progress=heard)
    figures = ["seconds", "train_loss", "train_top1", "val_top1"]
    steps = [[("step", epoch, step) for step in (1, 2)] for epoch in (0, 1)]  # 40 images, batches of 16
    assert heard.calls == [("start", 2, 2, 0), *steps[0], ("epoch", 0, figures), *steps[1], ("epoch", 1, figures)]
    assert [sorted(row) for row in result.curve] == [figures, figures]
    assert result.ms_per_image > 0


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "sgd"}, {"optimizer": "adamw", "peak_rate": 0.05}],
    ids=lambda changes: changes["optimizer"],
)
def test_learns_what_can_be_learnt(training, tiny_network, tmp_path, changes):
    test = learnable_set(70, seed=5)
    recipe = recipe_for(tiny_network, epochs=30, augmentation=NO_CHANGE, **changes)
    result = train(training, recipe, tmp_path, validation=test)
    assert result.curve[-1]["train_loss"] < 0.3 * result.curve[0]["train_loss"]
    predicted = training.predict_logits(result.model, test.images).argmax(axis=1)
    assert np.mean(predicted == test.label_indices) > 0.8
    assert result.curve[-1]["val_top1"] == pytest.approx(np.mean(predicted == test.label_indices))


@pytest.mark.parametrize(
    ("optimizer", "weight_decay", "kind", "kept_decay"),
    [
        ("sgd", 5e-4, "SGD", 5e-4),
        ("sgd", 0.0, "SGD", None),
        ("adamw", 0.01, "AdamW", 0.01),
        ("adamw", 0.0, "AdamW", 0.0),
    ],
)
def test_the_optimizer_is_the_recipes(training, optimizer, weight_decay, kind, kept_decay):
    recipe = recipe_for("mini_xception", optimizer=optimizer, weight_decay=weight_decay, momentum=0.8)
    found = training._optimizer(recipe, 5)
    assert type(found).__name__ == kind
    assert found.weight_decay == kept_decay
    if kind == "SGD":
        assert (found.momentum, found.nesterov) == (0.8, True)


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
    assert again.ms_per_image is None
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


@pytest.mark.parametrize("n", [1, 256, 300])
def test_logits_do_not_depend_on_how_images_are_grouped(training, tiny_network, keras, n):
    from fer_edge_train import zoo

    keras.utils.set_random_seed(2)
    model = zoo.build(tiny_network, (48, 48, 1), 7)
    images = np.random.default_rng(0).integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)
    found = training.predict_logits(model, images)
    assert found.shape == (n, 7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[-1:], training.predict_logits(model, images[-1:]), atol=1e-5)
