"""CRC-32C (Castagnoli), the checksum of TFRecord, fast enough in numpy for gigabytes.

RFC 3720, appendix B.4: polynomial 1EDC6F41 hex, reflected, register and result inverted. A CRC is linear over GF(2), so
the data is cut into lanes that are computed side by side, and neighbouring lanes are combined in pairs: the register of
A followed by B is that of A, advanced over as many zero bytes as B is long, xor that of B.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["crc32c", "masked_crc32c"]

Words = npt.NDArray[np.uint32]

_REFLECTED_POLYNOMIAL = 0x82F63B78
_LANE_BYTES = 16
# Below this a plain loop takes less time than starting numpy's.
_LOOP_BYTES = 1024
_MASK_DELTA = 0xA282EAD8


def _byte_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_REFLECTED_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _byte_table()
_TABLE_WORDS: Words = np.array(_TABLE, dtype=np.uint32)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`."""
    if len(data) < _LOOP_BYTES:
        register = 0xFFFFFFFF
        for byte in data:
            register = _TABLE[(register ^ byte) & 0xFF] ^ register >> 8
        return register ^ 0xFFFFFFFF
    # Zero bytes in front leave a register of zero as it is; a register that begins inverted is the same as inverting
    # the first four bytes of the data.
    n_lanes = 1 << (-(-len(data) // _LANE_BYTES) - 1).bit_length()
    padded = np.zeros(n_lanes * _LANE_BYTES, dtype=np.uint8)
    start = len(padded) - len(data)
    padded[start:] = np.frombuffer(data, dtype=np.uint8)
    padded[start : start + 4] ^= 0xFF
    columns = np.ascontiguousarray(padded.reshape(n_lanes, _LANE_BYTES).T)
    registers: Words = np.zeros(n_lanes, dtype=np.uint32)
    for column in columns:
        registers = _TABLE_WORDS[(registers ^ column) & 0xFF] ^ registers >> 8
    lane_bytes = _LANE_BYTES
    while len(registers) > 1:
        registers = _advance(registers[0::2], _zeros_operator(lane_bytes)) ^ registers[1::2]
        lane_bytes *= 2
    return int(registers[0]) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C rotated right by 15 bits plus a constant, as TFRecord stores it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


@lru_cache(maxsize=64)
def _zeros_operator(n_bytes: int) -> Words:
    """Return uint32 (4, 256): for each byte of a register and its value, what it is after `n_bytes` zero bytes."""
    registers: Words = np.arange(256, dtype=np.uint32) << np.array([[0], [8], [16], [24]], dtype=np.uint32)
    if n_bytes > _LANE_BYTES:
        half = _zeros_operator(n_bytes // 2)
        return _advance(_advance(registers, half), half)
    for _ in range(n_bytes):
        registers = _TABLE_WORDS[registers & 0xFF] ^ registers >> 8
    return registers


def _advance(registers: Words, operator: Words) -> Words:
    advanced: Words = (
        operator[0][registers & 0xFF]
        ^ operator[1][registers >> 8 & 0xFF]
        ^ operator[2][registers >> 16 & 0xFF]
        ^ operator[3][registers >> 24]
    )
    return advanced
