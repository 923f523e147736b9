from __future__ import annotations

import hashlib
import json

import pytest

from fer_edge.errors import InputError, IntegrityError
from fer_edge_convert.source_models import read_detector

NETWORKS = ("pnet", "rnet", "onet")


@pytest.fixture
def folder(tmp_path):
    files = {}
    for name in NETWORKS:
        data = f"the network {name}".encode()
        (tmp_path / f"{name}.keras").write_bytes(data)
        files[name] = {"file": f"{name}.keras", "sha256": hashlib.sha256(data).hexdigest()}
    write(tmp_path, {"schema": "fer-edge/mtcnn-record/1", "files": files, "source": {"licence": "MIT"}})
    return tmp_path


def write(folder, record):
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def change(folder, edit):
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    edit(record)
    write(folder, record)


def test_what_the_folder_holds(folder):
    found = read_detector(folder)
    assert found.paths == {name: folder / f"{name}.keras" for name in NETWORKS}
    assert found.record["source"] == {"licence": "MIT"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_changed_network_is_found(folder, name):
    (folder / f"{name}.keras").write_bytes(b"another network")
    with pytest.raises(IntegrityError, match=rf"{name}\.keras: expected SHA-256 \w{{16}}…, found \w{{16}}…"):
        read_detector(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(
            lambda r: r["files"].pop("rnet"), "lacks or misstates 'rnet'; import the detector again", id="network"
        ),
        pytest.param(lambda r: r["files"]["onet"].pop("sha256"), "lacks or misstates 'sha256'", id="digest"),
        pytest.param(lambda r: r.update(files=[1]), "lacks or misstates", id="a list"),
        pytest.param(
            lambda r: r.update(schema="fer-edge/mtcnn-record/2"),
            r"expected the schema fer-edge/mtcnn-record/1, found 'fer-edge/mtcnn-record/2'",
            id="schema",
        ),
    ],
)
def test_a_record_of_another_form(folder, edit, message):
    change(folder, edit)
    with pytest.raises(InputError, match=message):
        read_detector(folder)


def test_a_missing_network(folder):
    (folder / "pnet.keras").unlink()
    with pytest.raises(InputError, match=r"pnet\.keras: No such file or directory; the record names it"):
        read_detector(folder)


def test_a_folder_without_record(tmp_path):
    with pytest.raises(
        InputError, match=r"record\.json: No such file .*; expected a folder with a fer-edge/mtcnn-record/1"
    ):
        read_detector(tmp_path)
