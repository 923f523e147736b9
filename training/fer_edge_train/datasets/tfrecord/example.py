"""tf.train.Example as bytes: a map from names to lists of bytes, of float32 or of int64.

Protocol Buffers wire format (https://protobuf.dev/programming-guides/encoding/) of the messages

    Example   { features = 1: Features }
    Features  { feature = 1: map<string, Feature> }       an entry: { key = 1, value = 2 }
    Feature   { bytes_list = 1 | float_list = 2 | int64_list = 3 }, each { value = 1, repeated }
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Feature", "decode_example", "encode_example"]

Feature = Sequence[bytes] | Sequence[int] | Sequence[float]

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """Return the message; names are sorted, so the same features give the same bytes.

    Args:
        features: by name, each a non-empty sequence of bytes, int (int64) or float (float32).
    """
    entries = b"".join(
        _delimited(1, _delimited(1, name.encode()) + _delimited(2, _encode_feature(features[name])))
        for name in sorted(features)
    )
    return _delimited(1, entries)


def decode_example(data: bytes) -> dict[str, list[bytes] | list[int] | list[float]]:
    """Return the features by name; fields that this format does not know are passed over.

    Raises:
        ValueError: the bytes are no such message.
    """
    features: dict[str, list[bytes] | list[int] | list[float]] = {}
    try:
        for entry in _messages(data, 1):
            for pair in _messages(entry, 1):
                keys, values = list(_messages(pair, 1)), list(_messages(pair, 2))
                # Of a field that is repeated against the rules the last one counts.
                features[keys[-1].decode() if keys else ""] = _decode_feature(values[-1] if values else b"")
    except (IndexError, struct.error) as error:
        raise ValueError("the message ends too early") from error
    return features


def _encode_feature(values: Feature) -> bytes:
    first = values[0]
    if isinstance(first, bytes):
        return _delimited(_BYTES_LIST, b"".join(_delimited(1, value) for value in values if isinstance(value, bytes)))
    if isinstance(first, float):
        return _delimited(_FLOAT_LIST, _delimited(1, struct.pack(f"<{len(values)}f", *values)))
    # Negative numbers are written as their two's complement of 64 bits.
    packed = b"".join(_varint(value & (1 << 64) - 1) for value in values if isinstance(value, int))
    return _delimited(_INT64_LIST, _delimited(1, packed))


def _decode_feature(data: bytes) -> list[bytes] | list[int] | list[float]:
    values: list[bytes] | list[int] | list[float] = []
    for field, wire, content in _fields(data):
        if wire != _LENGTH_DELIMITED:
            continue
        if field == _BYTES_LIST:
            values = list(_messages(content, 1))
        elif field == _FLOAT_LIST:
            values = [value for chunk in _scalars(content, _FIXED32) for value in _floats(chunk)]
        elif field == _INT64_LIST:
            values = [value for chunk in _scalars(content, _VARINT) for value in _int64s(chunk)]
    return values


def _scalars(data: bytes, wire_alone: int) -> Iterator[bytes]:
    """Yield the encoded numbers of field 1, packed into one chunk or each alone: readers must accept both."""
    return (content for field, wire, content in _fields(data) if field == 1 and wire in (_LENGTH_DELIMITED, wire_alone))


def _floats(chunk: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(chunk) // 4}f", chunk)


def _int64s(chunk: bytes) -> Iterator[int]:
    at = 0
    while at < len(chunk):
        value, at = _read_varint(chunk, at)
        yield value - (1 << 64) if value >> 63 else value


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    """Yield the contents of each length-delimited field of that number."""
    return (content for field, wire, content in _fields(data) if field == wanted and wire == _LENGTH_DELIMITED)


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, wire type and encoded content of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            end = _read_varint(data, at)[1]
        elif wire == _LENGTH_DELIMITED:
            n_bytes, at = _read_varint(data, at)
            end = at + n_bytes
        elif wire in (_FIXED32, _FIXED64):
            end = at + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError(f"a field has the unknown wire type {wire}")
        if end > len(data):
            raise ValueError("a field is longer than the message")
        yield field, wire, data[at:end]
        at = end


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number of up to 64 bits and where it ends."""
    if data[at] < 0x80:  # nearly always
        return data[at], at + 1
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise ValueError("a number is longer than 10 bytes")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _delimited(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content
