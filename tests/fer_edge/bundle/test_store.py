"""Folders and archives: every byte is checked before anything else sees it."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile

import pytest
from runtime_support import GOLDEN_BYTES, MODEL_BYTES, manifest_json, write_bundle, write_golden_bundle

from fer_edge.bundle import Bundle, default_bundle_path
from fer_edge.errors import InputError, IntegrityError

MODEL = "classifier_float32.fake"


def zipped(folder, path, compression=zipfile.ZIP_STORED, leave_out=()):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.iterdir()):
            if file.name not in leave_out:
                archive.write(file, file.name)
    return path


@pytest.fixture(params=["folder", "zip"])
def store(request, tmp_path):
    """Function that makes a bundle of the fixture's kind from a folder."""

    def make(folder):
        return folder if request.param == "folder" else zipped(folder, tmp_path / "bundle.zip")

    return make


def model_entry(bundle):
    return bundle.manifest.stages["classifier"].variants[0].model


def test_a_bundle_is_read(tmp_path, store):
    bundle = Bundle.open(store(write_bundle(tmp_path / "bundle")))
    assert bundle.manifest.name == "small"
    assert bundle.read(model_entry(bundle)) == MODEL_BYTES
    assert bundle.verify() == 1


def test_the_manifests_bytes_are_kept_as_they_are(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle")
    raw = b"\n " + (folder / "manifest.json").read_bytes() + b"\r\n"
    (folder / "manifest.json").write_bytes(raw)
    assert Bundle.open(store(folder)).manifest_bytes == raw


def test_the_installed_bundle_is_whole():
    bundle = Bundle.open()
    assert bundle.path == default_bundle_path()
    files = {path.name for path in bundle.path.iterdir()} - {"manifest.json"}
    assert bundle.verify() == len(files)


@pytest.mark.parametrize("sha256", [None, "0" * 64], ids=["the same file", "another file of that name"])
def test_a_file_that_two_variants_share_counts_once(tmp_path, store, sha256):
    content = manifest_json()
    (first,) = content["stages"]["classifier"]["variants"]
    second = {**first, "precision": "int8", "model": {**first["model"], "sha256": sha256 or first["model"]["sha256"]}}
    content["stages"]["classifier"]["variants"].append(second)
    bundle = Bundle.open(store(write_bundle(tmp_path / "bundle", content)))
    if sha256 is None:
        assert bundle.verify() == 1
    else:
        with pytest.raises(IntegrityError, match="expected SHA-256 0000000000000000"):
            bundle.verify()


def damaged(change):
    """The model's bytes after a change."""
    return {
        "first bit flipped": bytes([MODEL_BYTES[0] ^ 1]) + MODEL_BYTES[1:],
        "last bit flipped": MODEL_BYTES[:-1] + bytes([MODEL_BYTES[-1] ^ 0x80]),
        "one byte short": MODEL_BYTES[:-1],
        "one byte long": MODEL_BYTES + b"\n",
        "much too long": MODEL_BYTES * 1000,
        "empty": b"",
    }[change]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("first bit flipped", "expected SHA-256 {expected}…, found {found}…; the file is damaged or was changed, copy"),
        ("last bit flipped", "expected SHA-256 {expected}…, found {found}…; the file is damaged or was changed, copy"),
        ("one byte short", "expected 35 bytes, found 34; copy"),
        ("one byte long", "expected 35 bytes, found more than 35; copy"),
        ("much too long", "expected 35 bytes, found more than 35; copy"),
        ("empty", "expected 35 bytes, found 0; copy"),
    ],
)
def test_a_damaged_file(tmp_path, store, change, reason):
    folder = write_bundle(tmp_path / "bundle")
    (folder / MODEL).write_bytes(damaged(change))
    bundle = Bundle.open(store(folder))
    expected, found = (hashlib.sha256(data).hexdigest()[:16] for data in (MODEL_BYTES, damaged(change)))
    for read in (lambda: bundle.read(model_entry(bundle)), bundle.verify):
        with pytest.raises(IntegrityError) as raised:
            read()
        reason_found = reason.format(expected=expected, found=found)
        assert str(raised.value) == f"{bundle.path}: {MODEL}: {reason_found} the bundle again"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(GOLDEN_BYTES[:-1], "golden.bin: expected 72 bytes, found 71;", id="cut short"),
        pytest.param(GOLDEN_BYTES * 1000, "golden.bin: expected 72 bytes, found more than 72;", id="much too long"),
        pytest.param(
            bytes([GOLDEN_BYTES[0] ^ 1]) + GOLDEN_BYTES[1:], "golden.bin: expected SHA-256 ", id="bit flipped"
        ),
        pytest.param(None, "golden.bin is missing; expected 72 bytes", id="missing"),
    ],
)
def test_golden_vectors_are_a_file_like_any(tmp_path, store, data, reason):
    folder = write_golden_bundle(tmp_path / "bundle")
    assert Bundle.open(store(folder)).verify() == 2
    if data is None:
        (folder / "golden.bin").unlink()
    else:
        (folder / "golden.bin").write_bytes(data)
    bundle = Bundle.open(store(folder))
    with pytest.raises(IntegrityError, match=f"^{re.escape(f'{bundle.path}: {reason}')}"):
        bundle.verify()


def test_a_missing_file(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle")
    (folder / MODEL).unlink()
    bundle = Bundle.open(store(folder))
    with pytest.raises(IntegrityError) as raised:
        bundle.verify()
    assert str(raised.value) == f"{bundle.path}: {MODEL} is missing; expected 35 bytes"


def test_a_file_that_nobody_names_is_left_alone(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle")
    (folder / "notes.txt").write_bytes(b"x")
    assert Bundle.open(store(folder)).verify() == 1


def test_a_file_that_changes_after_opening_is_noticed(tmp_path):
    bundle = Bundle.open(write_bundle(tmp_path / "bundle"))
    bundle.verify()
    (bundle.path / MODEL).write_bytes(damaged("first bit flipped"))
    with pytest.raises(IntegrityError, match="the file is damaged or was changed"):
        bundle.verify()


def test_no_manifest(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle")
    (folder / "manifest.json").unlink()
    path = store(folder)
    with pytest.raises(InputError) as raised:
        Bundle.open(path)
    assert str(raised.value) == (
        f"{path}: expected manifest.json inside, found no such entry"
        if path.is_file()
        else f"cannot read {folder / 'manifest.json'}: No such file or directory; expected a file of a bundle"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\xff\xfe{}", "manifest.json is not UTF-8 text; make the bundle again", id="not UTF-8"),
        pytest.param(b" " * (1024 * 1024 + 1), "manifest.json is larger than 1048576 bytes", id="too large"),
        pytest.param(b"[]", "manifest.json: expected an object, found list", id="no object"),
        pytest.param(
            b"",
            "manifest.json is no JSON (Expecting value: line 1 column 1 (char 0)); make the bundle again",
            id="empty",
        ),
    ],
)
def test_a_manifest_that_cannot_be_read_names_the_bundle(tmp_path, store, data, reason):
    folder = write_bundle(tmp_path / "bundle")
    (folder / "manifest.json").write_bytes(data)
    path = store(folder)
    with pytest.raises(IntegrityError) as raised:
        Bundle.open(path)
    assert str(raised.value) == f"{path}: {reason}"


def test_a_manifest_of_exactly_the_limit(tmp_path, store):
    folder = write_bundle(tmp_path / "bundle")
    text = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(text + b" " * (1024 * 1024 - len(text)))
    assert Bundle.open(store(folder)).verify() == 1


@pytest.mark.parametrize("name", ["none", "none.zip"])
def test_nothing_there(tmp_path, name):
    with pytest.raises(InputError) as raised:
        Bundle.open(tmp_path / name)
    assert str(raised.value) == f"no bundle at {tmp_path / name}: expected a folder or .zip with manifest.json inside"


def test_a_path_that_cannot_be_looked_at(tmp_path):
    path = tmp_path / ("x" * 300)
    with pytest.raises(InputError, match=f"^cannot read the bundle {re.escape(str(path))}: File name too long$"):
        Bundle.open(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2], ids=["deflate", "bzip2"])
def test_a_compressed_archive(tmp_path, compression):
    path = zipped(write_bundle(tmp_path / "bundle"), tmp_path / "bundle.zip", compression)
    with pytest.raises(IntegrityError) as raised:
        Bundle.open(path)
    assert str(raised.value) == f"{path}: manifest.json is compressed; a bundle's archive must be stored as is"


def test_an_archive_with_a_model_compressed(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    path = zipped(folder, tmp_path / "bundle.zip", leave_out=(MODEL,))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / MODEL, MODEL)
    bundle = Bundle.open(path)
    with pytest.raises(IntegrityError, match=f"{MODEL} is compressed; a bundle's archive must be stored as is$"):
        bundle.verify()


def test_an_archive_without_a_model(tmp_path):
    path = zipped(write_bundle(tmp_path / "bundle"), tmp_path / "bundle.zip", leave_out=(MODEL,))
    bundle = Bundle.open(path)
    with pytest.raises(IntegrityError, match=f"{MODEL} is missing; expected 35 bytes$"):
        bundle.verify()


def test_an_archive_that_packs_the_folder_itself(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    path = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "bundle")
    assert folder.is_dir()
    with pytest.raises(InputError, match=r"expected manifest\.json inside, found no such entry$"):
        Bundle.open(tmp_path / path)


def test_a_file_that_is_no_archive(tmp_path):
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"not an archive")
    with pytest.raises(IntegrityError) as raised:
        Bundle.open(path)
    assert str(raised.value) == f"{path}: expected a bundle's .zip, found a damaged archive (File is not a zip file)"


def test_a_model_that_is_a_link_is_judged_by_what_it_leads_to(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    (folder / MODEL).rename(tmp_path / "elsewhere")
    (folder / MODEL).symlink_to(tmp_path / "elsewhere")
    bundle = Bundle.open(folder)
    assert bundle.verify() == 1
    (tmp_path / "elsewhere").write_bytes(damaged("last bit flipped"))
    with pytest.raises(IntegrityError, match="the file is damaged or was changed"):
        bundle.verify()
