from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from fer_edge.errors import InputError, OutputError, UsageError
from fer_edge_train import checkpoints as checkpoints_module
from fer_edge_train.checkpoints import Checkpoints, RunState


def state(epochs_done: int) -> RunState:
    curve = [{"train_loss": 1.0 / (epoch + 1)} for epoch in range(epochs_done)]
    return RunState(epochs_done=epochs_done, recipe={"seed": 1}, data_digest="ab", backend="torch", curve=curve)


class Remembering:
    """Stands for a trainer."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def restore(self, arrays):
        if "network/0" not in arrays:
            raise KeyError("network/0")
        self.arrays = arrays


ARRAYS = {"network/0": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer/step": np.array(7)}


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_arrays_and_state_come_back(tmp_path):
    store = Checkpoints(tmp_path / "run")
    assert store.load_state() is None
    best = {"best/0": np.ones(3, np.float32)}
    store.save({**ARRAYS, **best}, state(3))
    assert names(tmp_path / "run") == ["epoch-00003.npz", "state.json"]

    loaded = Checkpoints(tmp_path / "run").load_state()
    assert loaded == state(3)
    trainer = Remembering()
    returned = store.restore(trainer, loaded)
    for name, values in ARRAYS.items():
        assert trainer.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(trainer.arrays[name], values)
    assert list(returned) == ["best/0"]
    np.testing.assert_array_equal(returned["best/0"], best["best/0"])


def test_the_checkpoint_before_is_removed(tmp_path):
    store = Checkpoints(tmp_path)
    for epochs_done in (1, 2, 10):
        store.save(ARRAYS, state(epochs_done))
    assert names(tmp_path) == ["epoch-00010.npz", "state.json"]


class DiedError(Exception):
    pass


def died(*arguments, **options):
    raise DiedError


@pytest.mark.parametrize("moment", ["while the arrays are written", "before the state is written"])
def test_a_process_that_ends_while_saving_leaves_the_state_before(tmp_path, monkeypatch, moment):
    store = Checkpoints(tmp_path)
    store.save(ARRAYS, state(1))
    with monkeypatch.context() as patch:
        if moment.startswith("while"):
            patch.setattr(np, "savez", lambda file, **arrays: (file.write(b"half"), died()))
        else:
            patch.setattr(checkpoints_module, "write_text", died)
        with pytest.raises(DiedError):
            store.save({"network/0": np.zeros(1)}, state(2))
    kept = Checkpoints(tmp_path).load_state()
    assert kept == state(1)
    trainer = Remembering()
    store.restore(trainer, kept)
    np.testing.assert_array_equal(trainer.arrays["network/0"], ARRAYS["network/0"])
    store.save(ARRAYS, state(2))
    assert names(tmp_path) == ["epoch-00002.npz", "state.json"]


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path, monkeypatch):
    def full(file, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match=r"^cannot write .*epoch-00001\.npz: No space left on device$"):
        Checkpoints(tmp_path).save(ARRAYS, state(1))
    assert names(tmp_path) == []


GOOD = {"epochs_done": 1, "recipe": {}, "data_digest": "ab", "backend": "torch", "curve": [{}]}


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


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "a flipped byte", "another zip", "a pickle"])
def test_a_damaged_checkpoint_says_how_to_start_anew(tmp_path, damage):
    store = Checkpoints(tmp_path)
    store.save(ARRAYS, state(1))
    path = tmp_path / "epoch-00001.npz"
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "another zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "a")
    elif damage == "a pickle":
        np.savez(path, **{"network/0": np.array([{}], dtype=object)})
    else:
        if damage.startswith("a flipped"):
            data[data.index(b"\x93NUMPY") + 140] ^= 0xFF
        path.write_bytes({"empty": b"", "truncated": data[: len(data) // 2]}.get(damage, bytes(data)))
    with pytest.raises(InputError) as caught:
        store.restore(Remembering(), state(1))
    message = str(caught.value)
    assert message.startswith(f"cannot continue from the checkpoint {path}: ")
    assert message.endswith(f"; remove {tmp_path} to start anew")
    assert "\n" not in message


def test_a_place_that_cannot_be_a_folder_is_an_output_error(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(
        OutputError, match=r"^cannot write .*run: File exists; expected a folder for the unfinished run"
    ):
        Checkpoints(tmp_path / "run").prepare()


def test_what_a_killed_process_left_half_written_goes_with_the_next_epoch(tmp_path):
    (tmp_path / ".epoch-00001.npz.77.part.npz").write_bytes(b"half")
    Checkpoints(tmp_path).save(ARRAYS, state(2))
    assert names(tmp_path) == ["epoch-00002.npz", "state.json"]


def test_forgetting_removes_its_own_files_alone(tmp_path):
    folder = tmp_path / "run"
    store = Checkpoints(folder)
    store.forget()  # nothing there: nothing to do
    store.save(ARRAYS, state(1))
    (folder / ".epoch-00002.npz.77.part.npz").write_bytes(b"left over by a killed process")
    (folder / "notes.txt").write_text("mine")
    store.forget()
    assert names(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    store.save(ARRAYS, state(1))
    store.forget()
    assert not folder.exists()


class Alike:
    """A recipe that differs in the fields it was made with."""

    def __init__(self, *fields: str) -> None:
        self.fields = list(fields)

    def differences(self, other_json):
        assert other_json == {"seed": 1}
        return list(self.fields)


@pytest.mark.parametrize(
    ("recipe", "digest", "backend", "message"),
    [
        (Alike(), "ab", "torch", None),
        (Alike("seed"), "cd", "torch", "with another seed, data; repeat its options to continue it, or add --restart"),
        (Alike(), "ab", "jax", "on torch, this is jax; set KERAS_BACKEND=torch to continue it, or add --restart"),
    ],
    ids=["the same", "other options and data", "another backend"],
)
def test_only_the_run_that_is_in_the_folder_goes_on(tmp_path, recipe, digest, backend, message):
    store = Checkpoints(tmp_path / "run")
    store.check_same_run(recipe, digest, backend)  # nothing there: any run may begin
    store.save(ARRAYS, state(1))
    if message is None:
        store.check_same_run(recipe, digest, backend)
        return
    with pytest.raises(UsageError) as caught:
        store.check_same_run(recipe, digest, backend)
    assert str(caught.value) == f"{tmp_path / 'run'} holds an unfinished run {message} to forget it"
