from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from train.datasets.support import lenient, options

from fer_edge.errors import InputError, OutputError, UsageError
from fer_edge.preprocess import face_pixels
from fer_edge_train.datasets import FaceSet, read_dataset
from fer_edge_train.datasets.labels import EXPRESSIONS
from fer_edge_train.datasets.tfrecord import faces as module
from fer_edge_train.datasets.tfrecord import read_tfrecords, write_tfrecords
from fer_edge_train.datasets.tfrecord.example import decode_example, encode_example
from fer_edge_train.datasets.tfrecord.framing import read_records, write_records


def face_set(n: int, channels: int = 1, seed: int = 0, labels=EXPRESSIONS, named: bool = True) -> FaceSet:
    rng = np.random.default_rng(seed)
    return FaceSet(
        images=rng.integers(0, 256, (n, 12, 10, channels), dtype=np.uint8),
        label_indices=rng.integers(0, len(labels), n),
        labels=labels,
        rows=np.arange(n, dtype=np.int64) * 3,
        subjects=np.array([f"S{i % 4}" if i % 3 else "" for i in range(n)], dtype=np.str_) if named else None,
        sources=np.array([f"fröhlich/{i}.png" for i in range(n)], dtype=np.str_) if named else None,
    )


def assert_equal(found: FaceSet, expected: FaceSet) -> None:
    for field in dataclasses.fields(FaceSet):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if one is None or other is None or field.name == "labels":
            assert one == other
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("named", [False, True], ids=["rows alone", "subjects and sources"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_faces_come_back_as_they_were(tmp_path, encoding, channels, named):
    splits = {"train": face_set(25, channels, named=named), "test": face_set(7, channels, seed=1, named=named)}
    splits["empty"] = splits["train"].take(np.zeros(25, dtype=np.bool_))
    write_tfrecords(splits, tmp_path / "out", encoding=encoding, records_per_shard=10)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "faces.json",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00003.tfrecord",
        "train-00001-of-00003.tfrecord",
        "train-00002-of-00003.tfrecord",
    ]
    sets = read_tfrecords(tmp_path / "out")
    assert list(sets) == ["train", "test", "empty"]
    for name in ("train", "test"):
        assert_equal(sets[name], splits[name])
    assert sets["empty"].images.shape == (0, 12, 10, channels)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_tensorflow_reads_the_faces(tmp_path, encoding, channels):
    tf = pytest.importorskip("tensorflow", reason="the reference for TFRecord files")
    faces = face_set(9, channels)
    write_tfrecords({"train": faces}, tmp_path / "out", encoding=encoding, records_per_shard=4)
    shards = sorted(str(path) for path in (tmp_path / "out").glob("*.tfrecord"))
    integer, text = tf.io.FixedLenFeature([], tf.int64), tf.io.FixedLenFeature([], tf.string)
    spec = {f"image/{name}": integer for name in ("height", "width", "channels", "class/label")}
    spec |= dict.fromkeys(("image/encoded", "image/format", "image/class/text", "subject", "source"), text)
    n = 0
    for i, record in enumerate(tf.data.TFRecordDataset(shards)):
        parsed = tf.io.parse_single_example(record, {**spec, "row": integer})
        shape = [int(parsed[f"image/{name}"]) for name in ("height", "width", "channels")]
        assert shape == [12, 10, channels]
        assert parsed["image/format"].numpy() == encoding.encode()
        if encoding == "png":
            image = tf.io.decode_png(parsed["image/encoded"]).numpy()
        else:
            image = tf.reshape(tf.io.decode_raw(parsed["image/encoded"], tf.uint8), shape).numpy()
        np.testing.assert_array_equal(image, faces.images[i][..., ::-1])  # R, G, B there
        assert int(parsed["image/class/label"]) == faces.label_indices[i]
        assert parsed["image/class/text"].numpy().decode() == EXPRESSIONS[faces.label_indices[i]]
        assert parsed["subject"].numpy().decode() == faces.subjects[i]
        assert parsed["source"].numpy().decode() == faces.sources[i]
        assert int(parsed["row"]) == faces.rows[i]
        n += 1
    assert n == 9


def test_the_data_set_has_the_size_colour_and_classes_asked_for(tmp_path):
    faces = face_set(30, 3, labels=("happy", "contempt", "sad"))
    write_tfrecords({"all": faces}, tmp_path / "out")
    dataset = read_dataset(tmp_path / "out", options(channels=1))
    kept = faces.take(faces.label_indices != 1)
    found = dataset.split("all")
    assert dataset.name == "tfrecord"
    assert found.labels == EXPRESSIONS
    assert [found.labels[i] for i in found.label_indices] == [kept.labels[i] for i in kept.label_indices]
    assert found.sources.tolist() == kept.sources.tolist()
    np.testing.assert_array_equal(found.images, [face_pixels(image, (16, 16), 1) for image in kept.images])
    assert dataset.skipped.left_out == {"faces of contempt": 30 - len(kept)}
    assert len(read_dataset(tmp_path / "out", options(keep_contempt=True)).split("all")) == 30


def test_other_classes_are_refused(tmp_path):
    write_tfrecords({"all": face_set(3, labels=("cat", "happy"))}, tmp_path / "out")
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "out", options())
    assert str(caught.value) == f"{tmp_path}/out: expected labels of {', '.join(EXPRESSIONS)}, found cat"


def test_an_interrupted_writing_goes_on_after_the_last_whole_shard(tmp_path, monkeypatch):
    splits, out = {"train": face_set(25)}, tmp_path / "out"
    written = []

    def write(path, records):
        if len(written) == 2:
            path.with_name(f".{path.name}.1.part.tfrecord").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path.name)
        return write_records(path, records)

    monkeypatch.setattr(module, "write_records", write)
    with pytest.raises(KeyboardInterrupt):
        write_tfrecords(splits, out, records_per_shard=10)
    assert not out.exists()
    assert len(written) == 2
    monkeypatch.setattr(
        module, "write_records", lambda path, records: written.append(path.name) or write_records(path, records)
    )
    write_tfrecords(splits, out, records_per_shard=10)
    assert written == [f"train-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert_equal(read_tfrecords(out)["train"], splits["train"])
    assert len(list(out.iterdir())) == 4
    assert not out.with_name("out.partial").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda faces: dataclasses.replace(faces, label_indices=(faces.label_indices + 1) % 7),
        lambda faces: dataclasses.replace(faces, subjects=None),
        lambda faces: dataclasses.replace(faces, rows=faces.rows + 1),
    ],
    ids=["labels", "subjects", "rows"],
)
def test_unfinished_work_of_other_faces_is_not_used(tmp_path, monkeypatch, change):
    faces, out = face_set(25), tmp_path / "out"
    monkeypatch.setattr(module, "replace_folder", lambda staging, target: None)
    write_tfrecords({"train": faces}, out, records_per_shard=10)
    monkeypatch.undo()
    assert out.with_name("out.partial").is_dir()
    write_tfrecords({"train": change(faces)}, out, records_per_shard=10)
    assert_equal(read_tfrecords(out)["train"], change(faces))


def test_a_folder_is_replaced_only_by_force(tmp_path):
    out = tmp_path / "out"
    write_tfrecords({"train": face_set(3)}, out)
    with pytest.raises(UsageError, match="exists already"):
        write_tfrecords({"train": face_set(4)}, out)
    write_tfrecords({"train": face_set(4)}, out, force=True)
    assert len(read_tfrecords(out)["train"]) == 4
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match=r"--force replaces a folder with faces\.json"):
        write_tfrecords({"train": face_set(4)}, other, force=True)


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def write(path, records):
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(module, "write_records", write)
    with pytest.raises(OutputError, match=r"train-00000-of-00001\.tfrecord: No space left on device$"):
        write_tfrecords({"train": face_set(3)}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"encoding": "jpeg"}, UsageError, "encoding: expected one of png, raw, found 'jpeg'"),
        ({"records_per_shard": 0}, UsageError, "records_per_shard: expected at least 1, found 0"),
        ({"splits": {}}, InputError, "expected at least one split to write, found none"),
        (
            {"splits": {"../x": face_set(2)}},
            UsageError,
            "split: expected a name of letters, digits and underscores, found '../x'",
        ),
        (
            {"splits": {"a": face_set(2), "b": face_set(2, channels=3)}},
            InputError,
            f"b: expected labels and size of a, {EXPRESSIONS} and (12, 10, 1), found {EXPRESSIONS} and (12, 10, 3)",
        ),
    ],
    ids=["encoding", "shard", "no split", "split's name", "sizes"],
)
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path, changes, error, message):
    with pytest.raises(error) as caught:
        write_tfrecords(**{"splits": {"train": face_set(2)}, "out": tmp_path / "out", **changes})
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def written(tmp_path):
    """A folder of 9 faces in shards of 3."""
    write_tfrecords({"train": face_set(9)}, tmp_path / "out", records_per_shard=3)
    return tmp_path / "out"


def second_shard(folder):
    return folder / "train-00001-of-00003.tfrecord"


def cut_in_a_record(folder):
    path = second_shard(folder)
    path.write_bytes(path.read_bytes()[:-9])


def cut_between_records(folder):
    path = second_shard(folder)
    write_records(path, list(read_records(path))[:2])


def damage_second_record(folder):
    path = second_shard(folder)
    first = len(next(read_records(path))) + 16
    data = bytearray(path.read_bytes())
    data[first + 30] ^= 1
    path.write_bytes(data)


def remove_shard(folder):
    second_shard(folder).unlink()


def edit_second_record(**changes):
    def edit(folder):
        path = second_shard(folder)
        records = list(read_records(path))
        features = decode_example(records[1])
        for name, value in changes.items():
            name = name.replace("__", "/")
            if value is None:
                del features[name]
            else:
                features[name] = value
        records[1] = encode_example(features)
        write_records(path, records)

    return edit


def no_example(folder):
    path = second_shard(folder)
    records = list(read_records(path))
    write_records(path, [records[0], b"\xff\xff\xff", records[2]])


@pytest.mark.parametrize(
    ("damage", "message", "n_bad"),
    [
        (cut_in_a_record, "record 3 is cut short: expected ", 1),
        (cut_between_records, "expected 3 records as faces.json says, found 2", 1),
        (damage_second_record, "record 2 is damaged (the checksum of its data differs)", 1),
        (remove_shard, "no such file", 3),
        (no_example, "record 2: expected a tf.train.Example of a face, found other contents (", 1),
        (
            edit_second_record(source=None, image__encoded=None),
            "record 2: expected a face's features, found none named image/encoded",
            1,
        ),
        (
            edit_second_record(image__class__label=[7]),
            f"record 2: expected a label of {', '.join(EXPRESSIONS)}, found 7 named '",
            1,
        ),
        (edit_second_record(image__class__text=[b"cat"]), "record 2: expected a label of ", 1),
        (edit_second_record(image__class__label=[b"3"]), "record 2: expected a tf.train.Example of a face", 1),
        (edit_second_record(image__height=[13]), "record 2: expected an image of [12, 10, 1], found [13, 10, 1]", 1),
        (edit_second_record(image__encoded=[b"no picture"]), "record 2: not a picture", 1),
        (
            edit_second_record(image__encoded=[b"123"], image__format=[b"raw"]),
            "record 2: expected 120 bytes of pixels, found 3",
            1,
        ),
    ],
)
def test_damage_is_named_with_file_and_record_or_counted(written, damage, message, n_bad):
    damage(written)
    with pytest.raises(InputError) as caught:
        read_tfrecords(written)
    assert str(caught.value).startswith(f"{second_shard(written)}: {message}")
    assert "\n" not in str(caught.value)
    skipped = lenient()
    faces = read_tfrecords(written, skipped)["train"]
    assert (len(faces), skipped.n_bad) == (9 - n_bad, n_bad)
    kept = face_set(9).take(np.isin(face_set(9).rows, faces.rows))
    np.testing.assert_array_equal(faces.images, kept.images)
    assert len(skipped.examples) == 1


def test_shards_of_another_writing_are_found(written, tmp_path):
    write_tfrecords({"train": face_set(9, seed=5)}, tmp_path / "other", records_per_shard=3)
    second_shard(written).write_bytes(second_shard(tmp_path / "other").read_bytes())
    with pytest.raises(InputError) as caught:
        read_tfrecords(written)
    assert str(caught.value).startswith(f"{written}: expected train with the digest ")
    assert str(caught.value).endswith("shards of another writing are among them, write it again")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: "{", "{0}: expected the description of face records, found other contents"),
        (lambda m: [], "{0}: expected the description of face records, found other contents"),
        (lambda m: {**m, "schema": "x/2"}, "{0}: expected the schema fer-edge/face-records/1, found 'x/2'"),
        (
            lambda m: {**m, "image_shape_hwc": [10**9, 1, 1]},
            "{0}: expected the description of face records, found other contents",
        ),
        (
            lambda m: {**m, "splits": {"train": {"digest": "", "shards": [{"file": "../x", "records": 1}]}}},
            "{0}: expected the description of face records, found other contents",
        ),
        (lambda m: {**m, "splits": 3}, "{0}: expected the description of face records, found other contents"),
    ],
    ids=["no JSON", "a list", "schema", "huge image", "file elsewhere", "splits"],
)
def test_a_description_that_is_none_is_refused(written, edit, message):
    path = written / "faces.json"
    edited = edit(json.loads(path.read_text()))
    path.write_text(edited if isinstance(edited, str) else json.dumps(edited))
    with pytest.raises(InputError) as caught:
        read_tfrecords(written)
    assert str(caught.value) == message.format(path)


def test_a_folder_without_a_description_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        read_tfrecords(tmp_path)
    assert str(caught.value) == (
        f"cannot read {tmp_path}/faces.json: No such file or directory; expected faces as TFRecords"
    )
