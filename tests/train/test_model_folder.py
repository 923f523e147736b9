from __future__ import annotations

import hashlib
import json

import pytest

from fer_edge.errors import InputError, IntegrityError
from fer_edge_train.model_folder import ClassifierSource, read_classifier

DATA = b"a network"
DIGEST = hashlib.sha256(DATA).hexdigest()
RECORD = {
    "schema": "fer-edge/training-record/1",
    "model": {
        "name": "small",
        "file": "model.keras",
        "sha256": DIGEST,
        "labels": ["angry", "happy"],
        "input_shape_hwc": [48, 64, 1],
        "pixel_mean": 128,
        "pixel_std": 64.5,
    },
}


def write(folder, record=RECORD, data=DATA):
    (folder / "record.json").write_text(record if isinstance(record, str) else json.dumps(record), encoding="utf-8")
    (folder / "model.keras").write_bytes(data)
    return folder


def changed(**values):
    return RECORD | {"model": {**RECORD["model"], **values}}


def without(key):
    return RECORD | {"model": {name: value for name, value in RECORD["model"].items() if name != key}}


def test_what_the_record_states(tmp_path):
    assert read_classifier(write(tmp_path)) == ClassifierSource(
        path=tmp_path / "model.keras",
        name="small",
        sha256=DIGEST,
        labels=("angry", "happy"),
        input_shape_hwc=(48, 64, 1),
        pixel_mean=128.0,
        pixel_std=64.5,
        record=RECORD,
    )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param(
            "{", r"cannot read .*record\.json: .*; expected a folder with a fer-edge/training-record/1", id="no JSON"
        ),
        pytest.param("[]", "expected the schema fer-edge/training-record/1, found 'list'", id="a list"),
        pytest.param({"schema": "x"}, "expected the schema fer-edge/training-record/1, found 'x'", id="schema"),
        pytest.param({"schema": RECORD["schema"]}, "lacks or misstates 'model'; train the model again", id="no model"),
        *(
            pytest.param(without(key), f"lacks or misstates '{key}'", id=f"no {key}")
            for key in ("name", "file", "sha256", "labels", "input_shape_hwc", "pixel_mean", "pixel_std")
        ),
        pytest.param(changed(pixel_std="wide"), "lacks or misstates could not convert", id="no number"),
        pytest.param(changed(input_shape_hwc=[48, 48]), "lacks or misstates not enough values", id="two axes"),
    ],
)
def test_a_record_of_another_form(tmp_path, record, message):
    with pytest.raises(InputError, match=message):
        read_classifier(write(tmp_path, record))


def test_another_model_file(tmp_path):
    with pytest.raises(IntegrityError) as caught:
        read_classifier(write(tmp_path, data=b"A network"))
    found = hashlib.sha256(b"A network").hexdigest()
    assert str(caught.value) == (
        f"{tmp_path / 'model.keras'}: expected SHA-256 {DIGEST[:16]}…, found {found[:16]}…; "
        "the record is of another file"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("record.json", r"record\.json: No such file or directory; expected a folder with a "),
        ("model.keras", r"model\.keras: No such file or directory; the record names it"),
    ],
)
def test_a_missing_file(tmp_path, name, message):
    (write(tmp_path) / name).unlink()
    with pytest.raises(InputError, match=message):
        read_classifier(tmp_path)
