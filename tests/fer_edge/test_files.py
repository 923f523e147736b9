from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from fer_edge.errors import OutputError, UsageError
from fer_edge.files import (
    atomic_path,
    check_folder_target,
    ensure_writable_target,
    put_in_place,
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


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
def test_a_target_of_the_other_kind(tmp_path, force):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError) as raised:
        ensure_writable_target(tmp_path / "folder", force=force)
    assert str(raised.value) == f"{tmp_path / 'folder'} is a folder; expected the name of a file"
    with pytest.raises(UsageError) as raised:
        ensure_writable_target(tmp_path / "file", force=force, kind="folder")
    assert str(raised.value) == f"{tmp_path / 'file'} is not a folder; expected the name of a folder"
    ensure_writable_target(tmp_path / "folder", force=True, kind="folder")


@pytest.mark.parametrize("name", [".", "/", "a/.."])
def test_a_file_without_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="is a folder; expected the name of a file"):
        ensure_writable_target(Path(name), force=True)


# 250 characters may be a name of 255 bytes at most; what is written beside it has a longer one.
@pytest.mark.parametrize("n_characters", [250, 256, 5000])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_target_whose_name_is_too_long(tmp_path, kind, n_characters):
    path = tmp_path / ("x" * n_characters)
    with pytest.raises(OutputError) as raised:
        ensure_writable_target(path, force=False, kind=kind)
    assert str(raised.value) == f"cannot write {path}: File name too long"
    ensure_writable_target(tmp_path / ("x" * 200), force=False, kind=kind)


def test_a_link_to_nowhere_is_not_replaced_without_force(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists already"):
        ensure_writable_target(tmp_path / "link", force=False)
    ensure_writable_target(tmp_path / "link", force=True)


def test_a_file_that_cannot_be_put_in_place(tmp_path):
    with pytest.raises(OutputError) as raised:
        put_in_place(tmp_path / "none.part", tmp_path / "result")
    assert str(raised.value) == f"cannot write {tmp_path / 'result'}: No such file or directory"


def folder_of(*names):
    def make(path):
        path.mkdir()
        for name in names:
            (path / name).write_bytes(b"")

    return make


def link(path):
    real = path.with_name("real")
    folder_of("manifest.json")(real)
    path.symlink_to(real)


@pytest.mark.parametrize(
    ("make", "force"),
    [
        pytest.param(lambda p: None, False, id="new"),
        pytest.param(lambda p: None, True, id="new, with force"),
        pytest.param(folder_of("manifest.json", "other"), True, id="a bundle, with force"),
        pytest.param(folder_of(), True, id="an empty folder, with force"),
    ],
)
def test_a_place_for_a_folder(tmp_path, make, force):
    make(tmp_path / "out")
    check_folder_target(tmp_path / "out", marker="manifest.json", force=force)


@pytest.mark.parametrize(
    ("make", "force", "message"),
    [
        pytest.param(
            folder_of("manifest.json"), False, "exists already; choose another name or add --force", id="bundle"
        ),
        pytest.param(folder_of(), False, "exists already", id="empty folder"),
        pytest.param(
            folder_of("thesis.tex"),
            True,
            r"--force replaces a folder with manifest\.json, found one without",
            id="other",
        ),
        pytest.param(lambda p: p.write_bytes(b""), True, "is not a folder; expected the name of a folder", id="file"),
        pytest.param(link, True, "expected a folder or nothing, found a link; choose another name", id="link"),
    ],
)
def test_a_place_where_no_folder_may_be_made(tmp_path, make, force, message):
    make(tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        check_folder_target(tmp_path / "out", marker="manifest.json", force=force)


@pytest.mark.parametrize("text", [".", "/", "a/.."])
def test_a_folder_without_a_name(text):
    with pytest.raises(UsageError, match="expected a folder with a name of its own"):
        check_folder_target(Path(text), marker="manifest.json", force=True)


def test_a_folder_in_no_folder(tmp_path):
    with pytest.raises(OutputError, match="does not exist; create it first"):
        check_folder_target(tmp_path / "no" / "out", marker="manifest.json", force=False)


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
