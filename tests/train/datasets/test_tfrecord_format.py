"""Framing, checksum and message, against published values and tensorflow's own reader and writer."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_train.datasets.tfrecord.crc32c import crc32c, masked_crc32c
from fer_edge_train.datasets.tfrecord.example import decode_example, encode_example
from fer_edge_train.datasets.tfrecord.framing import DamagedRecordError, read_records, write_records


@pytest.fixture(scope="module")
def tensorflow():
    return pytest.importorskip("tensorflow", reason="the reference for TFRecord files")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 3720, appendix B.4, and the check value of the CRC catalogues.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
    ids=["zeros", "ones", "rising", "falling", "digits", "nothing"],
)
def test_crc32c_has_the_published_values(data, expected):
    assert crc32c(data) == expected


def crc_bit_by_bit(data: bytes) -> int:
    """Return the remainder of the polynomial division, one bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            register ^= byte >> bit & 1
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize("n_bytes", [1, 255, 1023, 1024, 1025, 1040, 2047, 2048, 2049, 5000])
def test_long_and_short_data_have_one_definition(n_bytes):
    data = np.random.default_rng(n_bytes).bytes(n_bytes)
    assert crc32c(data) == crc_bit_by_bit(data)
    assert crc32c(bytes(n_bytes)) == crc_bit_by_bit(bytes(n_bytes))


RECORDS = [b"", b"a", b"one record", np.random.default_rng(0).bytes(100_003), bytes(3000)]


def test_tensorflow_reads_what_is_written(tensorflow, tmp_path):
    path = tmp_path / "a.tfrecord"
    assert write_records(path, iter(RECORDS)) == len(RECORDS)
    assert [record.numpy() for record in tensorflow.data.TFRecordDataset(str(path))] == RECORDS
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tfrecord"]


def test_what_tensorflow_writes_is_read_and_written_alike(tensorflow, tmp_path):
    path = tmp_path / "a.tfrecord"
    with tensorflow.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(read_records(path)) == RECORDS
    write_records(tmp_path / "b.tfrecord", RECORDS)
    assert (tmp_path / "b.tfrecord").read_bytes() == path.read_bytes()


def test_a_file_without_records_is_read(tmp_path):
    path = tmp_path / "a.tfrecord"
    assert write_records(path, []) == 0
    assert list(read_records(path)) == []


def framed(*records: bytes) -> bytes:
    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        parts += [length, struct.pack("<I", masked_crc32c(length)), record, struct.pack("<I", masked_crc32c(record))]
    return b"".join(parts)


GOOD = framed(b"first", b"second record")  # 21 bytes, then 29


def flipped(at: int) -> bytes:
    return GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]


LENGTH = "(its checksum differs), or this is no uncompressed TFRecord file; write it again"


@pytest.mark.parametrize(
    ("data", "n_good", "message"),
    [
        (GOOD[:5], 0, "record 1 is cut short: expected 12 bytes of length, found 5"),
        (GOOD[:30], 1, "record 2 is cut short: expected 12 bytes of length, found 9"),
        (GOOD[:33], 1, "record 2 is cut short: expected 17 bytes after its length, found 0; write it again"),
        (GOOD[:-1], 1, "record 2 is cut short: expected 17 bytes after its length, found 16; write it again"),
        (flipped(0), 0, f"the length of record 1 is damaged {LENGTH}"),
        (flipped(21 + 10), 1, f"the length of record 2 is damaged {LENGTH}"),
        (b"\x1f\x8b" + GOOD, 0, f"the length of record 1 is damaged {LENGTH}"),
        (GOOD + b"\0" * 12, 2, f"the length of record 3 is damaged {LENGTH}"),
        (
            framed(b"first")
            + struct.pack("<Q", 1 << 62)
            + struct.pack("<I", masked_crc32c(struct.pack("<Q", 1 << 62))),
            1,
            f"record 2 is cut short: expected {(1 << 62) + 4} bytes after its length, found 0; write it again",
        ),
    ],
    ids=[
        "cut in the first length",
        "cut in the second length",
        "cut after a length",
        "cut by one byte",
        "length",
        "its checksum",
        "gzip",
        "zeros at the end",
        "huge",
    ],
)
def test_a_damaged_frame_ends_the_reading_with_the_records_number(tmp_path, data, n_good, message):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(data)
    records = read_records(path)
    assert [next(records) for _ in range(n_good)] == [b"first", b"second record"][:n_good]
    with pytest.raises(InputError) as caught:
        next(records)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("at", [12, 16, 17, 20], ids=["first byte", "last byte", "checksum", "end of checksum"])
def test_damaged_data_is_told_and_the_next_record_read(tmp_path, at):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(flipped(at))
    first, second = read_records(path)
    assert isinstance(first, DamagedRecordError)
    assert str(first) == f"{path}: record 1 is damaged (the checksum of its data differs); write it again"
    assert second == b"second record"


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError) as caught:
        list(read_records(tmp_path / "x"))
    assert str(caught.value) == f"{tmp_path}/x: no such file; check the name"


FEATURES = {
    "bytes": [b"", b"\xff\x00", b"x" * 300],
    "ints": [0, 1, 127, 128, -1, 2**63 - 1, -(2**63)],
    "floats": [0.0, -1.5, 3.25],
    "näme": [b"utf-8"],
}


def test_tensorflow_parses_what_is_encoded(tensorflow):
    message = tensorflow.train.Example.FromString(encode_example(FEATURES)).features.feature
    assert sorted(message) == sorted(FEATURES)
    assert list(message["bytes"].bytes_list.value) == FEATURES["bytes"]
    assert list(message["ints"].int64_list.value) == FEATURES["ints"]
    assert list(message["floats"].float_list.value) == FEATURES["floats"]
    parsed = tensorflow.io.parse_single_example(
        encode_example(FEATURES),
        {
            "bytes": tensorflow.io.FixedLenFeature([3], tensorflow.string),
            "ints": tensorflow.io.FixedLenFeature([7], tensorflow.int64),
            "floats": tensorflow.io.FixedLenFeature([3], tensorflow.float32),
        },
    )
    assert parsed["bytes"].numpy().tolist() == FEATURES["bytes"]
    assert parsed["ints"].numpy().tolist() == FEATURES["ints"]
    assert parsed["floats"].numpy().tolist() == FEATURES["floats"]


def test_what_tensorflow_encodes_is_decoded(tensorflow):
    train = tensorflow.train
    lists = {
        "bytes": train.Feature(bytes_list=train.BytesList(value=FEATURES["bytes"])),
        "ints": train.Feature(int64_list=train.Int64List(value=FEATURES["ints"])),
        "floats": train.Feature(float_list=train.FloatList(value=FEATURES["floats"])),
        "näme": train.Feature(bytes_list=train.BytesList(value=FEATURES["näme"])),
        "nothing": train.Feature(),
        "no ints": train.Feature(int64_list=train.Int64List()),
    }
    data = train.Example(features=train.Features(feature=lists)).SerializeToString()
    assert decode_example(data) == {**FEATURES, "nothing": [], "no ints": []}


def test_numbers_that_are_not_packed_are_decoded_and_unknown_fields_passed_over():
    unpacked = b"\x1a\x04\x08\x05\x08\x07"  # int64_list { value: 5 value: 7 }, each with its own tag
    floats = b"\x12\x05\x0d\x00\x00\x80\x3f"  # float_list { value: 1.0 }
    for feature, expected in ((unpacked, [5, 7]), (floats, [1.0])):
        entry = b"\x0a\x01k\x12" + bytes([len(feature)]) + feature + b"\x30\x01\x39" + bytes(8)
        features = b"\x0a" + bytes([len(entry)]) + entry
        assert decode_example(b"\x28\x96\x01\x0a" + bytes([len(features)]) + features) == {"k": expected}


def test_equal_features_give_equal_bytes_in_any_order():
    assert encode_example(dict(reversed(FEATURES.items()))) == encode_example(FEATURES)


def test_every_cut_or_changed_message_is_decoded_or_refused():
    data = encode_example(FEATURES)
    rng = np.random.default_rng(0)
    broken = [data[:n] for n in range(1, len(data), 7)]
    for _ in range(500):
        changed = bytearray(data)
        changed[rng.integers(len(data))] = rng.integers(256)
        broken.append(bytes(changed))
    n_refused = 0
    for message in broken:
        try:
            decode_example(message)
        except ValueError:
            n_refused += 1
    assert n_refused > len(broken) // 10
