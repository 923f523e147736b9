"""What a picture file says of itself in its first bytes: format, width and height, before anything is decoded.

Only formats whose size can be read here are accepted as pictures, so no small file can ask for gigabytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

__all__ = ["PICTURE_FORMATS", "picture_format", "picture_size_wh"]

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)

# A marker is one or more bytes FF and then its code; what precedes it is skipped, as libjpeg does.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_JPEG_FRAME_CODES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_CODES_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_CODES_OF_NO_RETURN = frozenset({0xD9, 0xDA})  # end of image, start of scan
# ICC profiles, long XMP and maker notes take some hundred segments before the frame header; an attack takes millions.
_MAX_JPEG_SEGMENTS = 4096


def picture_format(head: bytes) -> str | None:
    """Return the format's name by a file's first 16 bytes (or more), None where it is none of PICTURE_FORMATS."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)


def picture_size_wh(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels as the header states them, before any rotation.

    Args:
        data: the whole file, of one of PICTURE_FORMATS.

    Returns:
        None where the header is damaged, states no pixels, or the file ends before what it announces.
    """
    try:
        size_wh = _SIZES[picture_format(data) or ""](data)
    except (KeyError, struct.error, IndexError):
        return None
    return size_wh if size_wh is not None and min(size_wh) > 0 else None


def _jpeg_size_wh(data: bytes) -> tuple[int, int] | None:
    at = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.search(data, at)
        if marker is None:
            return None
        code, at = marker[1][0], marker.end()
        if code in _JPEG_FRAME_CODES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if code in _JPEG_CODES_OF_NO_RETURN:
            return None
        if code not in _JPEG_CODES_WITHOUT_LENGTH:
            at += struct.unpack_from(">H", data, at)[0]
    return None


def _png_size_wh(data: bytes) -> tuple[int, int] | None:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR":
        return None
    at = 8
    # libpng writes its own line to stderr when a file ends too early, so the end is looked for here first.
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
    return (width, height) if at <= len(data) else None


def _bmp_size_wh(data: bytes) -> tuple[int, int] | None:
    header_bytes = struct.unpack_from("<I", data, 14)[0]
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height says that the first row is the top one


def _gif_size_wh(data: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp_size_wh(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width_low, width_high, height_low, height_high = struct.unpack_from("<HBHB", data, 24)
        return 1 + (width_high << 16 | width_low), 1 + (height_high << 16 | height_low)
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff_size_wh(data: bytes) -> tuple[int, int] | None:
    order = "<" if data.startswith(b"II") else ">"
    directory = struct.unpack_from(order + "I", data, 4)[0]
    entries = struct.unpack_from(order + "H", data, directory)[0]
    sizes = {}
    for number in range(entries):
        at = directory + 2 + 12 * number
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (256, 257):  # ImageWidth, ImageLength: a 16-bit or 32-bit number
            sizes[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)[0]
    return (sizes[256], sizes[257]) if len(sizes) == 2 else None


_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "JPEG": _jpeg_size_wh,
    "PNG": _png_size_wh,
    "BMP": _bmp_size_wh,
    "GIF": _gif_size_wh,
    "WebP": _webp_size_wh,
    "TIFF": _tiff_size_wh,
}

PICTURE_FORMATS = tuple(_SIZES)
