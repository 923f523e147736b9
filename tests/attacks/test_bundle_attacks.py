"""Each known abuse of a bundle as a case that can be run: what it does to a careless reader, and how ours refuses it.

A case is a function that writes the attack into a folder and returns the bundle's path. Opening it, verifying it and
replaying its golden vectors must end in one of fer-edge's own errors, soon and in little memory, whatever the attack.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest
from runtime_support import (
    GOLDEN_BYTES,
    GOLDEN_PIXELS,
    MODEL_BYTES,
    fake_engine,
    file_json,
    first_three,
    golden_manifest_json,
    manifest_json,
    run_python,
    write_bundle,
    write_golden_bundle,
)

from fer_edge.bundle import Bundle
from fer_edge.errors import FerEdgeError, InputError, IntegrityError
from fer_edge.golden import check_replays, replay_golden

MODEL = "classifier_float32.fake"


def with_manifest(folder, text):
    write_bundle(folder)
    (folder / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def with_model_named(folder, name):
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["model"]["file"] = name
    return write_bundle(folder, content)


def archive(folder, write):
    write_bundle(folder)
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as opened:
        write(opened)
    return path


def file_above_the_folder(folder):
    """Reads any file of the machine and tells by the error whether its digest is as guessed."""
    (folder.parent / "secret").write_bytes(MODEL_BYTES)
    return with_model_named(folder, "../secret")


def absolute_file(folder):
    """The same by an absolute path, which `folder / name` would follow."""
    return with_model_named(folder, "/etc/passwd")


def model_is_a_pipe(folder):
    """Waits for ever: opening a pipe blocks until somebody writes to it."""
    write_bundle(folder)
    (folder / MODEL).unlink()
    os.mkfifo(folder / MODEL)
    return folder


def manifest_is_a_pipe(folder):
    """The same with the manifest."""
    write_bundle(folder)
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    return folder


def bundle_is_a_pipe(folder):
    """The same with the bundle itself."""
    os.mkfifo(folder)
    return folder


def model_is_a_device(folder):
    """Fills the memory with zeros that never end."""
    write_bundle(folder)
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to("/dev/zero")
    return folder


def model_is_a_folder(folder):
    write_bundle(folder)
    (folder / MODEL).unlink()
    (folder / MODEL).mkdir()
    return folder


def model_links_to_itself(folder):
    write_bundle(folder)
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(MODEL)
    return folder


def huge_sparse_model(folder):
    """A file of 1 TB that takes no room on disk but fills the memory of whoever reads it whole."""
    write_bundle(folder)
    os.truncate(folder / MODEL, 1 << 40)
    return folder


def huge_sparse_manifest(folder):
    write_bundle(folder)
    os.truncate(folder / "manifest.json", 1 << 40)
    return folder


def model_of_many_stated_bytes(folder):
    """A stated length of 1 TB, in the hope that a buffer of that length is made first."""
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["model"]["bytes"] = 1 << 40
    return write_bundle(folder, content)


def deep_nesting(folder):
    """Overflows the stack of a recursive parser."""
    return with_manifest(folder, "[" * 500_000 + "]" * 500_000)


def deep_objects(folder):
    return with_manifest(folder, '{"a":' * 150_000 + "1" + "}" * 150_000)


def nesting_that_parses_and_cannot_be_written(folder):
    """Deep enough to be read, too deep for the writer of `fer-edge bundle inspect --json`."""
    text = json.dumps({**manifest_json(), "provenance": {}})
    return with_manifest(folder, text.replace('"provenance": {}', '"provenance": {"a": ' + "[" * 400 + "]" * 400 + "}"))


def key_twice(folder):
    """Two readers take two different values: one checks the first file, the other runs the second."""
    text = json.dumps(manifest_json())
    return with_manifest(folder, text.replace('"file": ', '"file": "other.fake", "file": '))


def many_keys(folder):
    """Makes a search that compares every key with every other take minutes."""
    return with_manifest(folder, json.dumps({**manifest_json(), **{f"k{i:05}": 0 for i in range(60_000)}}))


def long_key(folder):
    """Makes the search for a near key slow, and the message endless."""
    return with_manifest(folder, json.dumps({**manifest_json(), "schema" * 100_000: 0}))


def number_of_many_digits(folder):
    """Takes quadratic time to convert; limited by newer Pythons with another kind of error."""
    return with_manifest(folder, json.dumps(manifest_json()).replace('"seed": 7', '"seed": ' + "7" * 900_000))


def number_beyond_float(folder):
    """Overflows when a whole number becomes a real one."""
    return with_manifest(
        folder, json.dumps(manifest_json()).replace('"pixel_mean": 128.0', '"pixel_mean": 1' + "0" * 400)
    )


def not_a_number(folder):
    """NaN compares false with every bound and turns every answer into NaN."""
    return with_manifest(folder, json.dumps(manifest_json()).replace('"pixel_mean": 128.0', '"pixel_mean": NaN'))


def endless_crop(folder):
    """A crop of 10^12 times the face: the padded picture would not fit into any memory."""
    content = manifest_json()
    content["stages"]["classifier"]["crop_margin"] = 1e12
    return write_bundle(folder, content)


def name_that_rewrites_the_terminal(folder):
    """Clears the screen of whoever inspects the bundle and prints what it likes."""
    return write_bundle(folder, {**manifest_json(), "name": "\x1b[2J\x1b[Hall files are as the manifest says"})


def key_that_rewrites_the_terminal(folder):
    """The same by a key of free content, which `fer-edge bundle inspect` prints."""
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["measured"] = {"\x1b[2JPublicTest": {}}
    return write_bundle(folder, content)


def label_twice(folder):
    """Gives two classes one name, so that a count by name loses one of them."""
    content = manifest_json()
    content["labels"][1] = content["labels"][0]
    return write_bundle(folder, content)


def huge_input(folder):
    """Takes 1 TB for each face."""
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["inputs"][0]["shape"] = [None, 1 << 20, 1 << 20, 1]
    return write_bundle(folder, content)


def pixels_that_all_become_endless(folder):
    """Divides pixels by a number next to zero: every input is infinite and every answer the same."""
    content = manifest_json()
    content["stages"]["classifier"]["pixel_std"] = 1e-300
    return write_bundle(folder, content)


def more_classes_than_labels(folder):
    """Makes the largest probability one that has no name."""
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["outputs"][0]["shape"] = [None, 4]
    return write_bundle(folder, content)


def wide_text_encoding(folder):
    return with_manifest(folder, json.dumps(manifest_json()).encode("utf-16"))


def zip_bomb(folder):
    """A small archive that unpacks to much; a bundle's archive is never unpacked."""

    def write(opened):
        opened.writestr("manifest.json", b" " * (1 << 24), zipfile.ZIP_DEFLATED)

    return archive(folder, write)


def zip_entry_with_a_path(folder):
    """Would be written outside the folder by whoever unpacks it."""

    def write(opened):
        opened.write(folder / "manifest.json", "../manifest.json")

    return archive(folder, write)


def zip_model_with_a_path(folder):
    """The entry is there under the very name that the manifest states."""
    with_model_named(folder, "../../outside")
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.write(folder / "manifest.json", "manifest.json")
        opened.writestr("../../outside", MODEL_BYTES)
    return path


def zip_entry_twice(folder):
    """Two readers take two different files of one name; here the last one counts, and its digest is wrong."""

    def write(opened):
        opened.write(folder / "manifest.json", "manifest.json")
        opened.writestr(MODEL, MODEL_BYTES)
        opened.writestr(MODEL, MODEL_BYTES[::-1])

    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive(folder, write)


def zip_with_lying_size(folder):
    """The directory states 4 GB for an entry of 35 bytes."""
    path = archive(
        folder,
        lambda opened: (opened.write(folder / "manifest.json", "manifest.json"), opened.write(folder / MODEL, MODEL)),
    )
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\x01\x02")
    data[start + 20 : start + 28] = struct.pack("<II", 0xFFFFFFFE, 0xFFFFFFFE)
    path.write_bytes(data)
    return path


def zip_with_a_password(folder):
    path = archive(folder, lambda opened: opened.write(folder / "manifest.json", "manifest.json"))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    return path


def zip_cut_short(folder):
    path = archive(folder, lambda opened: opened.write(folder / "manifest.json", "manifest.json"))
    path.write_bytes(path.read_bytes()[:-30])
    return path


def same_length_other_model(folder):
    """The attack that the digest is there for."""
    write_bundle(folder)
    (folder / MODEL).write_bytes(MODEL_BYTES.replace(b"fake", b"evil"))
    return folder


def empty_digest(folder):
    """An empty text for a digest, in the hope that it switches the check off."""
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["model"]["sha256"] = ""
    return write_bundle(folder, content)


def model_in_place_of_the_manifest(folder):
    content = manifest_json()
    write_bundle(folder)
    data = (folder / "manifest.json").read_bytes()
    content["stages"]["classifier"]["variants"][0]["model"] = file_json("manifest.json", data)
    return write_bundle(folder, content)


def golden_with(folder, path, value):
    """Golden vectors with another value at a place in the manifest."""
    content = golden_manifest_json()
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return write_golden_bundle(folder, content)


def golden_cut_short(folder):
    write_golden_bundle(folder)
    (folder / "golden.bin").write_bytes(GOLDEN_BYTES[:-1])
    return folder


def golden_of_other_bytes(folder):
    """The same length and other numbers: a model that was changed would pass."""
    write_golden_bundle(folder)
    (folder / "golden.bin").write_bytes(GOLDEN_BYTES[::-1])
    return folder


def golden_behind_the_end(folder):
    """Reads what lies behind the file's bytes in memory, where nobody compares lengths."""
    return golden_with(folder, ("stages", "classifier", "golden", "offset"), 1 << 20)


def golden_of_endless_shape(folder):
    """Multiplies lengths until the product overflows to something small, or fills the memory."""
    return golden_with(folder, ("stages", "classifier", "golden", "shape"), [1 << 62, 6, 4, 1])


def golden_shape_of_many_digits(folder):
    """A product of lengths that takes minutes to compute, and cannot be printed."""
    return golden_with(folder, ("stages", "classifier", "golden", "output_shapes"), [[10**4000] * 50])


def golden_outputs_of_python_objects(folder):
    """numpy makes pointers of the bytes of an array whose dtype is "object"."""
    return golden_with(folder, ("stages", "classifier", "variants", 0, "outputs", 0, "dtype"), "object")


def golden_outputs_that_are_no_numbers(folder):
    """NaN compares false with every bound, so that a careless check lets everything through."""
    values = np.full((2, 3), np.nan, np.float32)
    return write_golden_bundle(folder, data=GOLDEN_PIXELS.tobytes() + values.tobytes())


def golden_outputs_that_are_endless(folder):
    """An infinite range makes every difference a share of nothing."""
    values = np.array([[0, np.inf, 0], [0, 0, 0]], np.float32)
    return write_golden_bundle(folder, data=GOLDEN_PIXELS.tobytes() + values.tobytes())


def golden_that_is_a_pickle(folder):
    """Runs what it likes in whoever unpickles it; the file is numbers to us, and these are not what the model gives."""

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(folder / "unpickled"),)

    return write_golden_bundle(folder, data=pickle.dumps(Attack()).ljust(72, b"\0"))


def golden_that_unpacks_to_much(folder):
    """An .npz of 100 kB that unpacks to 100 MB; nothing in a bundle is ever unpacked."""
    packed = io.BytesIO()
    np.savez_compressed(packed, pixels=np.zeros(100_000_000, np.uint8))
    return write_golden_bundle(folder, data=packed.getvalue())


ATTACKS = [
    (file_above_the_folder, IntegrityError, "file: expected a plain name without folders, found '../secret'"),
    (absolute_file, IntegrityError, "file: expected a plain name without folders, found '/etc/passwd'"),
    (model_is_a_pipe, IntegrityError, f"{MODEL} is missing; expected 35 bytes"),
    (manifest_is_a_pipe, InputError, "expected a file, found a folder, device or pipe"),
    (bundle_is_a_pipe, InputError, "expected a folder or .zip with manifest.json inside"),
    (model_is_a_device, IntegrityError, f"{MODEL} is missing; expected 35 bytes"),
    (model_is_a_folder, IntegrityError, f"{MODEL} is missing; expected 35 bytes"),
    (model_links_to_itself, IntegrityError, f"{MODEL} is missing; expected 35 bytes"),
    (huge_sparse_model, IntegrityError, "expected 35 bytes, found more than 35"),
    (huge_sparse_manifest, IntegrityError, "manifest.json is larger than 1048576 bytes"),
    (model_of_many_stated_bytes, IntegrityError, "bytes: expected 1 to 268435456, found 1099511627776"),
    (deep_nesting, IntegrityError, "manifest.json is no JSON ("),
    (deep_objects, IntegrityError, "manifest.json is no JSON ("),
    (nesting_that_parses_and_cannot_be_written, IntegrityError, "expected at most 32 levels of nesting, found more"),
    (key_twice, IntegrityError, "the key 'file' is there twice"),
    (many_keys, IntegrityError, "unknown key 'k00000'"),
    (long_key, IntegrityError, f"unknown key '{'schema' * 10}'; "),
    (number_of_many_digits, IntegrityError, "manifest.json is no JSON (Exceeds the limit"),
    (number_beyond_float, IntegrityError, "pixel_mean: expected a smaller number"),
    (not_a_number, IntegrityError, "NaN is no number"),
    (endless_crop, IntegrityError, "crop_margin: expected -0.9 to 9, found 1e+12"),
    (name_that_rewrites_the_terminal, IntegrityError, "name: expected text without control characters"),
    (
        key_that_rewrites_the_terminal,
        IntegrityError,
        "measured: expected keys without control characters, found '\\x1b",
    ),
    (label_twice, IntegrityError, "labels: expected each class once, found 'angry' twice"),
    (huge_input, IntegrityError, "expected a height and width of 1 to 1024, found 1048576 x 1048576 x 1"),
    (pixels_that_all_become_endless, IntegrityError, "pixel_std: expected 0.001 to 1000000, found 1e-300"),
    (more_classes_than_labels, IntegrityError, "expected lengths of the last axes [3], found [4]"),
    (wide_text_encoding, IntegrityError, "manifest.json is not UTF-8 text"),
    (zip_bomb, IntegrityError, "manifest.json is compressed; a bundle's archive must be stored as is"),
    (zip_entry_with_a_path, InputError, "expected manifest.json inside, found no such entry"),
    (zip_model_with_a_path, IntegrityError, "file: expected a plain name without folders, found '../../outside'"),
    (zip_entry_twice, IntegrityError, "the file is damaged or was changed"),
    (zip_with_lying_size, IntegrityError, ""),
    (zip_with_a_password, IntegrityError, "found a damaged archive"),
    (zip_cut_short, IntegrityError, "found a damaged archive"),
    (same_length_other_model, IntegrityError, "the file is damaged or was changed"),
    (empty_digest, IntegrityError, "sha256: expected 64 lower-case hexadecimal digits"),
    (model_in_place_of_the_manifest, IntegrityError, "manifest.json: expected"),
    (golden_cut_short, IntegrityError, "golden.bin: expected 72 bytes, found 71"),
    (golden_of_other_bytes, IntegrityError, "the file is damaged or was changed"),
    (golden_behind_the_end, IntegrityError, "golden: expected an end within 72 bytes, found 1048624"),
    (golden_of_endless_shape, IntegrityError, "shape: expected 1 to 4 lengths of 1 to 4194304, found [4611686018427"),
    (
        golden_shape_of_many_digits,
        IntegrityError,
        "output_shapes: expected 1 to 4 lengths of 1 to 4194304, found [1000",
    ),
    (
        golden_outputs_of_python_objects,
        IntegrityError,
        "expected outputs of float32, uint8, int8, int16, found 'object'",
    ),
    (golden_outputs_that_are_no_numbers, IntegrityError, "expected golden outputs that are numbers, found others"),
    (golden_outputs_that_are_endless, IntegrityError, "expected golden outputs that are numbers, found others"),
    (golden_that_is_a_pickle, IntegrityError, "classifier fake float32: expected the golden outputs byte for byte"),
    (golden_that_unpacks_to_much, IntegrityError, "classifier fake float32: expected the golden outputs byte for byte"),
]


@pytest.mark.parametrize(("attack", "kind", "message"), ATTACKS, ids=[attack.__name__ for attack, _, _ in ATTACKS])
def test_an_attack_is_refused(tmp_path, monkeypatch, attack, kind, message):
    monkeypatch.setattr("fer_edge.golden.load_engine", lambda name: fake_engine(first_three))
    path = attack(tmp_path / "bundle")
    with pytest.raises(FerEdgeError) as raised:
        open_verify_and_replay(path)
    assert not (tmp_path / "bundle" / "unpickled").exists()
    assert type(raised.value) is kind
    text = str(raised.value)
    assert message in text
    assert len(text) < 1000
    assert text.isprintable()


def open_verify_and_replay(path):
    bundle = Bundle.open(path)
    bundle.verify()
    check_replays(bundle, list(replay_golden(bundle)))


def test_golden_vectors_without_an_attack_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_edge.golden.load_engine", lambda name: fake_engine(first_three))
    open_verify_and_replay(write_golden_bundle(tmp_path / "bundle"))


def test_the_table_holds_every_attack():
    here = sys.modules[__name__]
    helpers = {"with_manifest", "with_model_named", "archive", "golden_with", "open_verify_and_replay"}
    functions = {
        name
        for name, value in vars(here).items()
        if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("test_")
    }
    assert {attack.__name__ for attack, _, _ in ATTACKS} == functions - helpers


CODE = """
import resource, sys
from pathlib import Path
from fer_edge.bundle import Bundle
from fer_edge.errors import FerEdgeError
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
for path in sys.argv[2:]:
    try:
        Bundle.open(Path(path)).verify()
    except FerEdgeError as error:
        print(type(error).__name__)
"""


def test_no_attack_takes_much_memory_or_time(tmp_path):
    chosen = [
        model_is_a_device, huge_sparse_model, huge_sparse_manifest, deep_nesting, deep_objects, many_keys, long_key,
        number_of_many_digits, zip_bomb, zip_with_lying_size, golden_of_endless_shape, golden_shape_of_many_digits,
    ]  # fmt: skip
    paths = [str(attack(tmp_path / attack.__name__)) for attack in chosen]
    # numpy alone takes most of it.
    done = run_python(CODE, str(400 * 1024 * 1024), *paths)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["IntegrityError"] * len(chosen)


@pytest.mark.parametrize("flip", range(8), ids=[f"bit {bit}" for bit in range(8)])
def test_a_flipped_bit_anywhere_in_an_archive(tmp_path, flip):
    """Either nothing that is used has changed, or the error is ours; no wrong byte gets through."""
    folder = write_bundle(tmp_path / "bundle")
    path = archive(
        folder,
        lambda opened: (opened.write(folder / "manifest.json", "manifest.json"), opened.write(folder / MODEL, MODEL)),
    )
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1 << flip
        path.write_bytes(data)
        try:
            bundle = Bundle.open(path)
            read = bundle.read(bundle.manifest.stages["classifier"].variants[0].model)
        except FerEdgeError:
            refused += 1
            continue
        assert hashlib.sha256(read).hexdigest() == hashlib.sha256(MODEL_BYTES).hexdigest()
    assert refused > len(whole) / 2


def test_an_archive_cut_short_anywhere(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    path = archive(folder, lambda opened: opened.write(folder / "manifest.json", "manifest.json"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError, match="found a damaged archive"):
            Bundle.open(path)
