"""Picture files become pixels whole or not at all.

A file that ends too early is refused: `cv2.imread` would return it with its missing part gray and no error. A file that
announces more than MAX_IMAGE_PIXELS is refused before anything is decoded.
"""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import MAX_IMAGE_PIXELS, import_cv2
from fer_edge.errors import InputError
from fer_edge.picture_header import PICTURE_FORMATS, picture_format, picture_size_wh

__all__ = ["MAX_IMAGE_PIXELS", "MAX_PICTURE_BYTES", "check_is_file", "decode_image", "read_image"]

Pixels = npt.NDArray[np.uint8]

# An uncompressed picture of four 16-bit channels at the pixel limit.
MAX_PICTURE_BYTES = 8 * MAX_IMAGE_PIXELS


def read_image(path: Path) -> Pixels:
    """Read a JPEG, PNG, BMP, GIF (its first picture), WebP or TIFF file, known by its contents, not its name.

    The orientation that a camera noted (EXIF) is applied. Gray and CMYK become colour, 16-bit values keep their upper
    8 bits, and an alpha channel is dropped: what a transparent pixel hides becomes visible.

    Returns:
        uint8 (height, width, 3) in B, G, R, contiguous.

    Raises:
        InputError: no such file, a folder, empty, not a picture, damaged or cut short, or too large.
    """
    check_is_file(path)
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_PICTURE_BYTES:
            raise InputError(
                f"{path}: expected a picture file of at most {MAX_PICTURE_BYTES} bytes, found {size_bytes}"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode the bytes of a picture file as `read_image` does; `name` is what an error calls them.

    Returns:
        uint8 (height, width, 3) in B, G, R, contiguous.

    Raises:
        InputError: empty, not a picture, damaged or cut short, or too large.
    """
    kind = picture_format(data)
    if kind is None:
        raise InputError(f"{name}: not a picture; expected {', '.join(PICTURE_FORMATS)}, found other contents")
    size_wh = picture_size_wh(data)
    if size_wh is None:
        raise InputError(f"{name}: this {kind} picture is damaged or cut short; copy it again from where it came from")
    width, height = size_wh
    if width * height > MAX_IMAGE_PIXELS:
        raise InputError(
            f"{name}: expected at most {MAX_IMAGE_PIXELS} pixels, found {width} x {height}; make the picture smaller"
        )
    cv2 = import_cv2()
    try:
        image: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        reason = " ".join(str(error.err).split())
        raise InputError(f"{name}: OpenCV cannot decode this {kind} picture ({reason})") from error
    if image is None:
        raise InputError(
            f"{name}: this {kind} picture is damaged, cut short or of a kind that OpenCV cannot decode; "
            "copy it again from where it came from"
        )
    return image


def check_is_file(path: Path) -> None:
    """Check that `path` is a regular file with something in it.

    Raises:
        InputError: it does not exist, is a folder or a device, is empty, or may not be looked at.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the name") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: expected a file, found a folder")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: expected a file, found a device, pipe or socket")
    if status.st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")
