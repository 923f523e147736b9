"""The framing of a TFRecord file: records of any bytes, each with its length and two checksums.

    uint64 length   uint32 masked CRC-32C of these 8 bytes   length bytes   uint32 masked CRC-32C of them

All little-endian. https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from fer_edge.errors import InputError
from fer_edge.files import atomic_path
from fer_edge.images import check_is_file
from fer_edge_train.datasets.tfrecord.crc32c import masked_crc32c

__all__ = ["DamagedRecordError", "read_records", "write_records"]

_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")


class DamagedRecordError(InputError):
    """A record whose data is damaged, with its frame intact: the records after it can be read."""


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write a file, whole or not at all, and return the number of records.

    Raises:
        OutputError: it cannot be written.
    """
    n = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for record in records:
            length = _LENGTH.pack(len(record))
            file.write(length + _CRC.pack(masked_crc32c(length)) + record + _CRC.pack(masked_crc32c(record)))
            n += 1
    return n


def read_records(path: Path) -> Iterator[bytes | DamagedRecordError]:
    """Yield each record's bytes, or the error where its data is damaged and the next one can still be found.

    Raises:
        InputError: the file cannot be read, ends within a record, or a record's length is damaged; the message names
            the record, counted from 1.
    """
    # An empty file is a TFRecord file without records.
    if not (path.is_file() and path.stat().st_size == 0):
        check_is_file(path)
    try:
        with path.open("rb") as file:
            yield from _read(file, str(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _read(file: BinaryIO, name: str) -> Iterator[bytes | DamagedRecordError]:
    left_bytes = os.fstat(file.fileno()).st_size
    number = 0
    while left_bytes:
        number += 1
        head = file.read(12)
        if len(head) < 12:
            raise InputError(f"{name}: record {number} is cut short: expected 12 bytes of length, found {len(head)}")
        length, length_crc = head[:8], head[8:]
        if _CRC.pack(masked_crc32c(length)) != length_crc:
            raise InputError(
                f"{name}: the length of record {number} is damaged (its checksum differs), or this is no uncompressed "
                "TFRecord file; write it again"
            )
        n_bytes = _LENGTH.unpack(length)[0]
        left_bytes -= 12 + n_bytes + 4
        if left_bytes < 0:
            raise InputError(
                f"{name}: record {number} is cut short: expected {n_bytes + 4} bytes after its length, "
                f"found {left_bytes + n_bytes + 4}; write it again"
            )
        data, crc = file.read(n_bytes), file.read(4)
        if _CRC.pack(masked_crc32c(data)) != crc:
            yield DamagedRecordError(
                f"{name}: record {number} is damaged (the checksum of its data differs); write it again"
            )
        else:
            yield data
