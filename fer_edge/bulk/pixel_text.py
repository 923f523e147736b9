"""Gray pixels written as numbers in text, as FER-2013's csv has them, to arrays.

numpy's own reader takes a sixth of a small network's inference for a face's 2,304 numbers. Here the texts of several
faces are one array of bytes, and arithmetic on all of its places at once gives at each number's last digit its value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError

__all__ = ["parse_pixels", "parse_pixels_of_many"]

Pixels = npt.NDArray[np.uint8]

_MAX_SIDE_PX = 4096  # of a face as text; more is no face but a broken row
# 98 KB of FER-2013: for arrays of 128 KB or more the C library may ask the system for memory each time, which costs
# more than the arithmetic; with one text the calls cost more.
_TEXTS_AT_ONCE = 12
_PAD = 3  # as many digits as a number has: before the first number, too, there is something to look back at
_ZERO = ord("0")
_GAP = ord(" ") ^ _ZERO  # 16, where digits become 0 to 9


def parse_pixels_of_many(texts: Sequence[bytes]) -> list[Pixels | InputError]:
    """Return for each text what `parse_pixels` returns or raises; fast where all have as many values."""
    found: list[Pixels | InputError] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = texts[start : start + _TEXTS_AT_ONCE]
        faces = _parse_fast(some)
        found += [_parsed_or_error(text) for text in some] if faces is None else list(faces)
    return found


def parse_pixels(text: bytes) -> Pixels:
    """Return a square of gray pixels, uint8 (side, side), from whole numbers 0 to 255 between spaces, row by row.

    Raises:
        InputError: a value is no such number, or their count is not that of a square.
    """
    faces = _parse_fast([text])
    if faces is not None:
        face: Pixels = faces[0]
        return face
    return _parse_slowly(text)


def _parse_fast(texts: Sequence[bytes]) -> Pixels | None:
    """Return uint8 (n, side, side) of texts that are alike and have nothing unusual; None for all others."""
    text = b" ".join(texts)
    codes = np.frombuffer(b"%*b%b " % (_PAD, b"", text), np.uint8) ^ np.uint8(_ZERO)
    digits = codes & np.uint8(15)
    if codes.max() > _GAP or digits.max() > 9:
        return None
    is_digit = (codes >> np.uint8(4)) - np.uint8(1)  # all bits or none; of a gap `digits` is 0
    if is_digit[_PAD] == 0 or (is_digit[_PAD:-1] | is_digit[_PAD + 1 :]).min() == 0:
        return None  # a gap too many
    two = is_digit[:-1] & is_digit[1:]
    three = two[:-1] & two[1:]
    hundreds = digits[:-2] & three
    if (three[:-1] & three[1:]).max() != 0 or hundreds.max() > 2:
        return None
    hundreds *= np.uint8(100)
    values = digits[1:-1] * np.uint8(10)
    values += digits[2:]
    values += hundreds
    if np.any(values < hundreds):  # more than 255 begins at 0 again
        return None
    gaps = np.flatnonzero(codes[_PAD:] == _GAP)  # one after each number, by its place in the text
    n_values, remainder = divmod(len(gaps), len(texts))
    side = math.isqrt(n_values)
    ends = np.cumsum([len(each) + 1 for each in texts]) - 1
    if (
        remainder
        or side * side != n_values
        or side > _MAX_SIDE_PX
        or not np.array_equal(gaps[n_values - 1 :: n_values], ends)
    ):
        return None
    # `values` begins two places before the text, so a number's last digit is where the gap after it is in the text.
    return values[gaps].reshape(len(texts), side, side)


def _parsed_or_error(text: bytes) -> Pixels | InputError:
    try:
        return parse_pixels(text)
    except InputError as error:
        return error


def _parse_slowly(text: bytes) -> Pixels:
    """Read value by value and name the first that is wrong."""
    values = []
    for position, token in enumerate(text.split(), start=1):
        # The length comes first: Python refuses to convert numbers of thousands of digits.
        if not (token.isdigit() and len(token) <= 20 and int(token) <= 255):
            shown = token[:20].decode(errors="replace")
            raise InputError(f"pixels: value {position} is {shown!r}, expected a whole number from 0 to 255")
        values.append(int(token))
    side = math.isqrt(len(values))
    if side == 0 or side * side != len(values) or side > _MAX_SIDE_PX:
        raise InputError(
            f"pixels: expected as many values as a square of 1 to {_MAX_SIDE_PX} pixels has, found {len(values)}"
        )
    return np.array(values, np.uint8).reshape(side, side)
