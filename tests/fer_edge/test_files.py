from __future__ import annotations

import hashlib
import os

import pytest

from fer_edge.errors import OutputError, UsageError
from fer_edge.files import (
    atomic_path,
    ensure_writable_target,
    replace_folder,
    sha256_hex,
    sha256_of_file,
    write_bytes,
    write_text,
)

# FIPS 180-2's example, and the digest of nothing.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("data", "digest"), [(b"abc", ABC), (b"", NOTHING)], ids=["abc", "nothing"])
def test_digests(tmp_path, data, digest):
    path = tmp_path / "file"
    path.write_bytes(data)
    assert sha256_hex(data) == sha256_hex(memoryview(data)) == sha256_of_file(path) == digest


def test_the_digest_of_a_file_longer_than_one_piece(tmp_path):
    data = bytes(range(256)) * 8192 + b"end"  # 2 MiB and three bytes
    (tmp_path / "file").write_bytes(data)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "result.json"
    write_bytes(path, b"old")
    write_text(path, "nöw")
    assert path.read_bytes() == "nöw".encode()
    assert names(tmp_path) == ["result.json"]


def test_the_temporary_file_has_the_suffix_of_the_real_one(tmp_path):
    # Encoders choose a format by it.
    with atomic_path(tmp_path / "picture.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name != "picture.png"
        temporary.write_bytes(b"x")
    assert names(tmp_path) == ["picture.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "result.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(error), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("none/result", "No such file or directory", id="no folder"),
        pytest.param("file/result", "Not a directory", id="below a file"),
        pytest.param("x" * 260, "File name too long", id="name too long"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, reason):
    (tmp_path / "file").write_bytes(b"x")
    path = tmp_path / name
    with pytest.raises(OutputError) as raised:
        write_bytes(path, b"data")
    assert str(raised.value) == f"cannot write {path}: {reason}"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "result").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*result: Is a directory"):
        write_bytes(tmp_path / "result", b"data")
    assert names(tmp_path) == ["result"]


def test_a_target_that_may_be_written(tmp_path):
    ensure_writable_target(tmp_path / "new", force=False)
    (tmp_path / "old").write_bytes(b"x")
    ensure_writable_target(tmp_path / "old", force=True)
    with pytest.raises(UsageError) as raised:
        ensure_writable_target(tmp_path / "old", force=False)
    assert str(raised.value) == f"{tmp_path / 'old'} exists already; choose another name or add --force to replace it"


def test_a_target_in_no_folder(tmp_path):
    with pytest.raises(OutputError) as raised:
        ensure_writable_target(tmp_path / "none" / "new", force=True)
    assert str(raised.value) == (
        f"cannot write {tmp_path / 'none' / 'new'}: the folder {tmp_path / 'none'} does not exist; create it first"
    )


def test_a_target_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser may write anywhere
    with pytest.raises(OutputError, match=f"no permission to create files in {tmp_path}$"):
        ensure_writable_target(tmp_path / "new", force=False)


def folder_with(path, text):
    path.mkdir()
    (path / "file").write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("existing", [False, True], ids=["new", "replaced"])
def test_a_folder_takes_its_place(tmp_path, existing):
    target = tmp_path / "bundle"
    if existing:
        folder_with(target, "old")
        (target / "old file").write_bytes(b"x")
    replace_folder(folder_with(tmp_path / "staging", "new"), target)
    assert names(tmp_path) == ["bundle"]
    assert names(target) == ["file"]
    assert (target / "file").read_text(encoding="utf-8") == "new"


def test_a_folder_that_fails_to_take_its_place_leaves_the_old_one(tmp_path):
    target = folder_with(tmp_path / "bundle", "old")
    with pytest.raises(OutputError, match=f"cannot write {target}: No such file or directory"):
        replace_folder(tmp_path / "no staging", target)
    assert names(tmp_path) == ["bundle"]
    assert (target / "file").read_text(encoding="utf-8") == "old"


def test_a_copy_that_an_earlier_process_left_goes_when_the_new_folder_is_in_place(tmp_path):
    folder_with(tmp_path / ".bundle.replaced", "older")
    replace_folder(folder_with(tmp_path / "staging", "new"), tmp_path / "bundle")
    assert names(tmp_path) == ["bundle"]
