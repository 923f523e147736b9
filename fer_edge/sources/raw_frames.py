"""Frames without a container from standard input: what another program decoded or took from a camera."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import numpy as np

from fer_edge._cv2 import MAX_IMAGE_PIXELS, import_cv2
from fer_edge.errors import InputError
from fer_edge.sources.base import Frame, OnError, Pixels, Source

__all__ = ["RAW_FORMATS", "RawSource"]

# Format: bytes for each pixel, and OpenCV's conversion to B, G, R.
RAW_FORMATS: dict[str, tuple[float, str | None]] = {
    "bgr": (3, None),
    "gray": (1, "COLOR_GRAY2BGR"),
    "nv12": (1.5, "COLOR_YUV2BGR_NV12"),
    "yuv420": (1.5, "COLOR_YUV2BGR_I420"),
}
_EXPECTED = f"raw:WIDTHxHEIGHT:FORMAT or raw:WIDTHxHEIGHT:FORMAT@FPS, FORMAT one of {', '.join(RAW_FORMATS)}"


class RawSource(Source):
    """Frames of one size and format, each of them read, in their order; the writer waits while they are not.

    Their time is their number divided by the rate, or where none is given that since the first one came.
    """

    kind = "raw"

    def __init__(self, spec: str, report: OnError, file: io.RawIOBase | None = None) -> None:
        """Prepare to read.

        Args:
            spec: raw:640x480:bgr@30, for example.
            report: called with what is wrong with the last frame.
            file: in place of standard input.

        Raises:
            InputError: the text says no size and format, or standard input is a terminal or closed.
        """
        match = re.fullmatch(r"raw:([0-9]{1,5})x([0-9]{1,5}):([a-z0-9]+)(?:@([0-9]+(?:\.[0-9]+)?))?", spec)
        if match is None or match[3] not in RAW_FORMATS:
            raise InputError(f"frames on standard input: expected {_EXPECTED}, found {spec}")
        width, height = int(match[1]), int(match[2])
        bytes_a_pixel, conversion = RAW_FORMATS[match[3]]
        if not 0 < width * height <= MAX_IMAGE_PIXELS:
            raise InputError(f"{spec}: expected 1 to {MAX_IMAGE_PIXELS} pixels a frame, found {width} x {height}")
        if bytes_a_pixel == 1.5 and (width % 2 or height % 2):
            raise InputError(f"{spec}: expected even width and height for {match[3]}, found {width} x {height}")
        if match[4] is not None and float(match[4]) == 0:
            raise InputError(f"{spec}: expected frames per second above 0, found {match[4]}")
        self.size_wh = (width, height)
        self.fps = None if match[4] is None else float(match[4])
        self._spec = spec
        self._report = report
        self._conversion = conversion
        self._shape = (height, width, 3) if conversion is None else (round(height * bytes_a_pixel), width)
        self._file = file or _standard_input()

    def __iter__(self) -> Iterator[Frame]:
        index, first_s = 0, None
        while (image_bgr := self._read(index)) is not None:
            now_s = time.monotonic()
            first_s = now_s if first_s is None else first_s
            time_s = now_s - first_s if self.fps is None else index / self.fps
            yield Frame(image_bgr=image_bgr, source=self._spec, index=index, time_s=time_s)
            index += 1
        if index == 0:
            raise InputError(f"{self._spec}: standard input ended before there was a whole frame")

    def _read(self, index: int) -> Pixels | None:
        pixels = np.empty(self._shape, np.uint8)
        memory = pixels.data.cast("B")
        filled = 0
        while filled < len(memory):
            try:
                n_bytes = self._file.readinto(memory[filled:])
            except (OSError, ValueError) as error:  # ValueError: closed meanwhile
                raise InputError(f"{self._spec}: cannot read standard input ({error})") from error
            if not n_bytes:
                break
            filled += n_bytes
        if filled == len(memory):
            if self._conversion is None:
                return pixels
            cv2 = import_cv2()
            converted: Pixels = cv2.cvtColor(pixels, getattr(cv2, self._conversion))
            return converted
        if filled:
            self._report(
                InputError(
                    f"{self._spec}: standard input ended inside frame {index}, after {filled} of its {len(memory)} "
                    "bytes; it was cut short, or size or format are others"
                )
            )
        return None

    def close(self) -> None:
        """Read no more; standard input itself stays open."""
        self._file.close()


def _standard_input() -> io.FileIO:
    try:
        file = io.FileIO(0, closefd=False)
    except OSError as error:
        raise InputError(f"standard input cannot be read ({error.strerror or error}); pipe frames into it") from error
    if file.isatty():
        raise InputError("expected frames on standard input, found a terminal; pipe them from another program")
    return file
