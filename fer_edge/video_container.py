"""What a video file says of itself: its container, its length, and how much of it is missing.

OpenCV plays a file that is cut short up to the cut and then reports an ordinary end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["HEAD_BYTES", "VIDEO_FORMATS", "VideoClaims", "video_claims", "video_format"]

# Two packets of an MPEG transport stream with time codes (192 bytes each) and the sync byte of the third.
HEAD_BYTES = 389

_EBML = b"\x1aE\xdf\xa3"
_SEGMENT = b"\x18S\x80g"

_SIGNATURES = (
    (_EBML, "Matroska/WebM"),
    (b"\x00\x00\x01\xba", "MPEG-PS"),
    (b"\x00\x00\x01\xb3", "MPEG-PS"),
    (b"FLV\x01", "FLV"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV"),
    (b"OggS", "Ogg"),
    (b"DKIF", "IVF"),
    (b"\x00\x00\x00\x01", "H.264/H.265"),
    (b"\x00\x00\x01\x67", "H.264/H.265"),
)
_ISO_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"})
# Still pictures in the same container: FFmpeg would play one tile of them as a video of one frame.
_ISO_PICTURE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})

VIDEO_FORMATS = ("MP4/MOV", "AVI", "MPEG-TS", *dict.fromkeys(name for _, name in _SIGNATURES))

# Streams written in pieces have two boxes for every second or so; an attack has a box for every 8 bytes.
_MAX_BOXES = 100_000
_MAX_INDEX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoClaims:
    """What the container announces.

    Attributes:
        missing_bytes: how much longer the file should be; 0 where the container does not say.
        duration_s: of the pictures, after the cuts of an edit list; None where the container does not say.
    """

    missing_bytes: int = 0
    duration_s: float | None = None


def video_format(head: bytes) -> str | None:
    """Return the container's name by a file's first HEAD_BYTES bytes, None where it is none of VIDEO_FORMATS."""
    if head[4:8] in _ISO_FIRST_BOXES:
        return None if head[4:8] == b"ftyp" and head[8:12] in _ISO_PICTURE_BRANDS else "MP4/MOV"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if head[:377:188] == b"GGG" or head[4:389:192] == b"GGG":
        return "MPEG-TS"
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)


def video_claims(path: Path) -> VideoClaims:
    """Read what an MP4, MOV, AVI, Matroska or WebM file announces; other containers make no claims.

    Raises:
        OSError: the file cannot be read.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        kind = video_format(head)
        if kind == "MP4/MOV":
            end_bytes, index = _iso_end_and_index(file, size_bytes)
        else:
            end_bytes, index = _avi_end(head) if kind == "AVI" else _matroska_end(head), b""
    return VideoClaims(missing_bytes=max(end_bytes - size_bytes, 0), duration_s=_picture_duration_s(index))


def _avi_end(head: bytes) -> int:
    return 8 + int.from_bytes(head[4:8], "little")


def _matroska_end(head: bytes) -> int:
    """Return where the Segment ends, 0 where it was written with unknown length or `head` is no Matroska (RFC 9559)."""
    header = _ebml_size(head, 4)
    if not head.startswith(_EBML) or header is None:
        return 0
    segment = header[0] + header[1]
    size = _ebml_size(head, segment + 4)
    return sum(size) if size is not None and head[segment : segment + 4] == _SEGMENT else 0


def _ebml_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Return where an element's contents start and their length; None where it is unknown or not in `data`."""
    width = 9 - data[at].bit_length() if at < len(data) else 9
    if width > 8 or at + width > len(data):
        return None
    largest = (1 << 7 * width) - 1
    value = int.from_bytes(data[at : at + width], "big") & largest
    return None if value == largest else (at + width, value)


def _iso_end_and_index(file: BinaryIO, size_bytes: int) -> tuple[int, bytes]:
    """Return where the last box ends and the contents of the box `moov`, empty where there is none (ISO 14496-12)."""
    end_bytes, index = 0, b""
    for _ in range(_MAX_BOXES):
        if end_bytes >= size_bytes:
            break
        file.seek(end_bytes)
        header = _box_header(file.read(16), 0)
        if header is None:
            break
        name, header_bytes, box_bytes = header
        if name == b"moov" and box_bytes <= _MAX_INDEX_BYTES:
            file.seek(end_bytes + header_bytes)
            index = file.read(box_bytes - header_bytes)
        end_bytes += box_bytes
    return end_bytes, index


def _box_header(data: bytes, at: int) -> tuple[bytes, int, int] | None:
    """Return a box's name, the length of its header and of the whole; None where the rest of the file is one box."""
    if at + 8 > len(data):
        return None
    box_bytes, name = struct.unpack_from(">I4s", data, at)
    header_bytes = 8
    if box_bytes == 1 and at + 16 <= len(data):
        box_bytes = struct.unpack_from(">Q", data, at + 8)[0]
        header_bytes = 16
    return (name, header_bytes, box_bytes) if box_bytes >= header_bytes else None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(_MAX_BOXES):
        header = _box_header(data, at)
        if header is None:
            return
        name, header_bytes, box_bytes = header
        yield name, data[at + header_bytes : at + box_bytes]
        at += box_bytes


def _picture_duration_s(index: bytes) -> float | None:
    """Return the longest picture track's length as its header gives it: the sum of its edits (ISO 14496-12)."""
    units_per_s = 0
    durations = [0]
    for name, box in _boxes(index):
        if name == b"mvhd" and len(box) >= 32:
            units_per_s = struct.unpack_from(">I", box, 20 if box[0] == 1 else 12)[0]
        elif name == b"trak":
            track = dict(_boxes(box))
            header, media = track.get(b"tkhd", b""), dict(_boxes(track.get(b"mdia", b"")))
            if media.get(b"hdlr", b"")[8:12] == b"vide" and len(header) >= 36:
                long = header[0] == 1
                durations.append(struct.unpack_from(">Q" if long else ">I", header, 28 if long else 20)[0])
    duration = max(durations)
    unknown = duration in (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return None if unknown or units_per_s == 0 else duration / units_per_s
