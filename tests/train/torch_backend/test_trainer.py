"""Steps in torch against Keras' own steps on whichever backend Keras runs here."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.batches import Batch
from fer_edge_train.recipe import Recipe
from fer_edge_train.trainer import TrainerSetup

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.host

N_CLASSES = 3
SHAPE = (12, 12, 1)


def small_model(keras, seed: int = 3):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    pixels = keras.Input(SHAPE)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False)(pixels)))
    x = layers.SeparableConv2D(8, 3, padding="same")(x)
    return keras.Model(pixels, layers.Dense(N_CLASSES)(layers.GlobalAveragePooling2D()(x)))


def batches(n: int, size: int = 16, *, weighted: bool = False) -> list[Batch]:
    """Pictures whose class is their brightness."""
    made = []
    for number in range(n):
        rng = np.random.default_rng(number)
        labels = rng.integers(0, N_CLASSES, size)
        images = rng.normal(0, 0.3, (size, *SHAPE)) + (labels - 1.0)[:, np.newaxis, np.newaxis, np.newaxis]
        weights = np.ones(size, np.float32) if not weighted else rng.uniform(0.2, 3.0, size).astype(np.float32)
        targets = np.eye(N_CLASSES, dtype=np.float32)[labels]
        made.append(Batch(images.astype(np.float32), targets, weights, np.arange(size)))
    return made


def setup(keras, *, teachers=(), **changes) -> TrainerSetup:
    model = small_model(keras)
    recipe = Recipe(**{"architecture": "mini_xception", "average_decay": 0.0, **changes})
    return TrainerSetup(model=model, recipe=recipe, teachers=teachers)


def trainers(keras, **changes):
    from fer_edge_train.keras_trainer import KerasTrainer
    from fer_edge_train.torch_backend import TorchTrainer

    return TorchTrainer(setup(keras, **changes)), KerasTrainer(setup(keras, **changes))


RECIPES = {
    "sgd": {},
    "sgd without decay": {"weight_decay": 0.0},
    "adamw": {"optimizer": "adamw", "peak_rate": 0.01, "weight_decay": 0.1},
    "averaged": {"average_decay": 0.8},
    "focal": {"focal_gamma": 2.0},
    "focal below 1": {"focal_gamma": 0.5},
    "weighted images": {"weighted": True},
    "teachers": {"teacher_share": 0.5},
}


@pytest.mark.parametrize("case", RECIPES)
def test_five_steps_end_where_keras_ends(keras, case):
    changes = dict(RECIPES[case])
    weighted = changes.pop("weighted", False)
    if "teacher_share" in changes:
        changes["teachers"] = [small_model(keras, 5), small_model(keras, 6)]
    ours, theirs = trainers(keras, **changes)
    before = ours.kept_weights()
    # One rate: Keras keeps the rate within SGD's momentum, torch outside, which is the same until it changes.
    rate = 0.003 if changes.get("optimizer") == "adamw" else 0.05
    for number, batch in enumerate(batches(5, weighted=weighted)):
        for trainer in (ours, theirs):
            trainer.step(batch, rate, number)
    mine, other = ours.figures(), theirs.figures()
    assert mine.loss == pytest.approx(other.loss, rel=1e-3)
    assert mine.top1 == pytest.approx(other.top1, abs=0.03)
    for a, b, start in zip(ours.kept_weights(), theirs.kept_weights(), before, strict=True):
        assert np.abs(b - start).max() > 1e-4
        # Adam divides by a gradient's size: where that is nearly 0, rounding decides the direction.
        tolerance = 0.15 if changes.get("optimizer") == "adamw" else 0.01
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b - start).max())


def test_logits_are_those_of_the_kept_weights(keras):
    ours, _ = trainers(keras, average_decay=0.9)
    for number, batch in enumerate(batches(3)):
        ours.step(batch, 0.1, number)
    images = np.random.default_rng(0).integers(0, 256, (300, *SHAPE), dtype=np.uint8)
    model = small_model(keras)
    model.set_weights(ours.kept_weights())
    expected = np.asarray(model((images.astype(np.float32) - 128) / 128))
    np.testing.assert_allclose(ours.logits(images), expected, atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "average_decay": 0.9}], ids=["sgd", "adamw, averaged"])
@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_a_restored_trainer_goes_on_alike(keras, tmp_path, kind, changes):
    index = ["torch", "keras"].index(kind)
    first, again = trainers(keras, **changes)[index], trainers(keras, **changes)[index]
    steps = batches(6)
    for number in range(3):
        first.step(steps[number], 0.02, number)
    np.savez(tmp_path / "state.npz", **first.state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        again.restore({name: file[name] for name in file.files})
    first.figures()
    for number in range(3, 6):
        first.step(steps[number], 0.02, number)
        again.step(steps[number], 0.02, number)
    assert first.figures() == again.figures()
    for a, b in zip(first.kept_weights(), again.kept_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["torch", "keras"])
@pytest.mark.parametrize("damage", ["another network", "nothing"])
def test_a_state_of_another_network_is_refused(keras, kind, damage):
    trainer = trainers(keras)[["torch", "keras"].index(kind)]
    arrays = {} if damage == "nothing" else {name: np.zeros((2, 2, 2)) for name in trainer.state()}
    with pytest.raises((KeyError, ValueError)):
        trainer.restore(arrays)


def test_bfloat16_computes_with_fewer_bits_and_learns_as_well(keras):
    exact, rounded = (trainers(keras, compute_dtype=dtype)[0] for dtype in ("float32", "bfloat16"))
    for number, batch in enumerate(batches(60)):
        if number == 50:
            exact.figures(), rounded.figures()
        exact.step(batch, 0.05, number)
        rounded.step(batch, 0.05, number)
    assert any((a != b).any() for a, b in zip(exact.kept_weights(), rounded.kept_weights(), strict=True))
    assert exact.figures().top1 > 0.9
    assert rounded.figures().top1 > 0.9
    assert all(weight.dtype == np.float32 for weight in rounded.kept_weights())


def test_random_parts_are_a_function_of_the_epochs_seed(keras):
    from fer_edge_train.torch_backend import TorchTrainer

    def run(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(3)
        pixels = keras.Input(SHAPE)
        dropped = keras.layers.Dropout(0.5)(keras.layers.Flatten()(pixels))
        model = keras.Model(pixels, keras.layers.Dense(N_CLASSES)(dropped))
        trainer = TorchTrainer(TrainerSetup(model=model, recipe=setup(keras).recipe))
        trainer.begin_epoch(seed, None)
        trainer.step(batches(1)[0], 0.1, 0)
        return trainer.kept_weights()

    np.testing.assert_array_equal(run(1)[0], run(1)[0])
    assert (run(1)[0] != run(2)[0]).any()


def test_figures_start_anew_after_they_are_read(keras):
    ours, theirs = trainers(keras, peak_rate=1e-8)
    for trainer in (ours, theirs):
        for batch in batches(2):
            trainer.step(batch, 0.0, 0)
        assert trainer.figures().loss > 0.5
        assert trainer.figures().loss == 0.0


@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_a_power_below_one_has_a_slope_where_the_answer_is_certain(keras, kind):
    """(1 - p) ** 0.5 at p = 1 would make every weight NaN."""
    trainer = trainers(keras, focal_gamma=0.5, weight_decay=0.0)[["torch", "keras"].index(kind)]
    batch = batches(1)[0]
    for number in range(3):
        trainer.step(batch._replace(images=batch.images * 1e4), 1e-6, number)
    assert all(np.isfinite(weight).all() for weight in trainer.kept_weights())


def test_teachers_answer_an_image_of_a_view_once(keras):
    from fer_edge_train.torch_backend import TorchTrainer

    trainer = TorchTrainer(setup(keras, teachers=[small_model(keras, 5)], teacher_share=0.5))
    asked = []
    (teacher,) = trainer._teachers
    teacher.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    batch = batches(1)[0]
    for view in (0, 1, 0, 1, None, None):
        trainer.begin_epoch(1, view)
        trainer.step(batch, 0.01, 0)
    assert asked == [16] * 4
    trainer.begin_epoch(1, 0)
    trainer.step(batch._replace(members=np.arange(1, 17)), 0.01, 0)  # one of them is new
    assert asked == [16] * 5


def test_remembered_answers_are_what_the_teachers_said(keras):
    from fer_edge_train.torch_backend import TorchTrainer

    share = {"teacher_share": 1.0, "average_decay": 0.0}
    remembering, forgetting = (
        TorchTrainer(setup(keras, teachers=[small_model(keras, 5), small_model(keras, 6)], **share)) for _ in range(2)
    )
    made = batches(2)
    for number in range(6):
        batch = made[number % 2]._replace(members=np.arange(16) + 16 * (number % 2))
        for trainer, view in ((remembering, 0), (forgetting, None)):
            trainer.begin_epoch(number, view)
            trainer.step(batch, 0.05, number)
    for mine, other in zip(remembering.kept_weights(), forgetting.kept_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_recorded_graph_steps_like_single_kernels(keras, monkeypatch):
    from fer_edge_train.torch_backend import TorchTrainer

    recorded, single = (TorchTrainer(setup(keras, batch_size=16)) for _ in range(2))
    monkeypatch.setattr(single, "_forward", single._network)
    for number, batch in enumerate([*batches(5), *batches(1, size=10)]):
        for trainer in (recorded, single):
            trainer.step(batch, 0.05, number)
    assert recorded._graph is not None
    assert recorded.figures().loss == pytest.approx(single.figures().loss, rel=1e-3)
    for mine, other in zip(recorded.kept_weights(), single.kept_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0.01, atol=1e-3)
