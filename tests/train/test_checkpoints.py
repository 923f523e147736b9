from __future__ import annotations

import json

import numpy as np
import pytest

from fer_edge.errors import InputError, OutputError
from fer_edge_train import checkpoints as checkpoints_module
from fer_edge_train.checkpoints import Checkpoints, RunState

pytestmark = pytest.mark.host


def state(epochs_done: int) -> RunState:
    curve = [{"train_loss": 1.0 / (epoch + 1)} for epoch in range(epochs_done)]
    return RunState(epochs_done=epochs_done, recipe={"seed": 1}, data_digest="ab", curve=curve)


@pytest.fixture
def model(keras):
    """A compiled model of three weights that has taken one step with momentum."""
    from fer_edge_train.schedules import OneCycle

    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(OneCycle(0.1, 10), momentum=0.9, nesterov=True), loss="mse")
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    return model


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_model_optimizer_and_state_come_back(model, tmp_path):
    store = Checkpoints(tmp_path / "run")
    assert store.load_state() is None
    store.save(model, state(3))
    assert names(tmp_path / "run") == ["epoch-00003.keras", "state.json"]

    loaded_state = Checkpoints(tmp_path / "run").load_state()
    assert loaded_state == state(3)
    loaded = store.load_model(loaded_state)
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
    # The momentum and the step count go on: the next step is the same.
    for each in (model, loaded):
        each.train_on_batch(np.ones((4, 2)), np.zeros((4, 1)))
    np.testing.assert_allclose(model.get_weights()[0], loaded.get_weights()[0], atol=1e-7)


def test_the_checkpoint_before_is_removed(model, tmp_path):
    store = Checkpoints(tmp_path)
    for epochs_done in (1, 2, 10):
        store.save(model, state(epochs_done))
    assert names(tmp_path) == ["epoch-00010.keras", "state.json"]


class DiedError(Exception):
    pass


def died(*arguments, **options):
    raise DiedError


@pytest.mark.parametrize("moment", ["while the model is written", "before the state is written"])
def test_a_process_that_ends_while_saving_leaves_the_state_before(model, tmp_path, monkeypatch, moment):
    store = Checkpoints(tmp_path)
    store.save(model, state(1))
    before = model.get_weights()
    model.set_weights([weight + 1 for weight in before])
    with monkeypatch.context() as patch:
        if moment.startswith("while"):
            patch.setattr(type(model), "save", lambda self, path: (path.write_bytes(b"half"), died()))
        else:
            patch.setattr(checkpoints_module, "write_text", died)
        with pytest.raises(DiedError):
            store.save(model, state(2))
    kept = Checkpoints(tmp_path).load_state()
    assert kept == state(1)
    for mine, theirs in zip(before, store.load_model(kept).get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    store.save(model, state(2))
    assert names(tmp_path) == ["epoch-00002.keras", "state.json"]


def test_a_folder_that_cannot_be_written_is_an_output_error(model, tmp_path, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model), "save", full)
    with pytest.raises(OutputError, match=r"^cannot write .*epoch-00001\.keras: No space left on device$"):
        Checkpoints(tmp_path).save(model, state(1))
    assert names(tmp_path) == []


GOOD = {"epochs_done": 1, "recipe": {}, "data_digest": "ab", "curve": [{}]}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param(json.dumps(GOOD)[:-9], id="truncated"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param(json.dumps({**GOOD, "extra": 1}), id="an unknown key"),
        pytest.param(json.dumps({"epochs_done": 1}), id="missing keys"),
        pytest.param(json.dumps({**GOOD, "epochs_done": "1"}), id="a number as text"),
        pytest.param(json.dumps({**GOOD, "epochs_done": 2}), id="a curve of another length"),
        pytest.param(json.dumps({**GOOD, "curve": None}), id="no curve"),
        pytest.param("\udcff", id="not utf-8"),
    ],
)
def test_a_damaged_state_says_how_to_start_anew(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"^cannot read .*state\.json: .*; remove .* to start anew$"):
        Checkpoints(tmp_path).load_state()


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "a flipped byte in the weights", "another zip"])
def test_a_damaged_checkpoint_says_how_to_start_anew(model, tmp_path, damage):
    store = Checkpoints(tmp_path)
    store.save(model, state(1))
    path = tmp_path / "epoch-00001.keras"
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "another zip":
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "a")
    else:
        if damage.startswith("a flipped"):
            data[data.index(b"model.weights.h5") + 200] ^= 0xFF
        path.write_bytes({"empty": b"", "truncated": data[: len(data) // 2]}.get(damage, bytes(data)))
    with pytest.raises(InputError) as caught:
        store.load_model(state(1))
    message = str(caught.value)
    assert message.startswith(f"cannot read the checkpoint {path}: ")
    assert message.endswith(f"; remove {tmp_path} to start anew")
    assert "\n" not in message


def test_forgetting_removes_its_own_files_alone(model, tmp_path):
    folder = tmp_path / "run"
    store = Checkpoints(folder)
    store.forget()  # nothing there: nothing to do
    store.save(model, state(1))
    (folder / ".epoch-00002.keras.77.part.keras").write_bytes(b"left over by a killed process")
    (folder / "notes.txt").write_text("mine")
    store.forget()
    assert names(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    store.save(model, state(1))
    store.forget()
    assert not folder.exists()
