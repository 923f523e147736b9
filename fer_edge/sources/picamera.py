"""Cameras of a Raspberry Pi, through picamera2: the one Python package that reaches libcamera there.

It comes with Raspberry Pi OS and not from a package index, so it is imported when a camera is opened.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import numpy as np

from fer_edge.errors import InputError, MissingExtraError
from fer_edge.sources.base import Pixels
from fer_edge.sources.live import LiveSource
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.opencv_capture import check_bgr

__all__ = ["is_picamera", "open_picamera"]


def is_picamera(spec: str) -> bool:
    """Return whether a text means a Raspberry Pi's camera: picamera, picamera:0, picamera:1."""
    return spec == "picamera" or spec.startswith("picamera:")


def open_picamera(spec: str, options: LiveOptions) -> LiveSource:
    """Open a Raspberry Pi's camera.

    Raises:
        InputError: there is no such camera, it is in use, or sends nothing.
        MissingExtraError: picamera2 cannot be imported.
    """
    match = re.fullmatch(r"picamera(?::([0-9]))?", spec)
    if match is None:
        raise InputError(f"expected picamera or picamera:NUMBER, found {spec}")
    number = int(match[1] or 0)
    return LiveSource(f"picamera:{number}", "camera", lambda: _PicameraCapture(number, options), options)


class _PicameraCapture:
    """A started camera that writes B, G, R.

    libcamera names formats by their order in a register, so its RGB888 has blue in the first byte in memory; picamera2
    reads it as B, G, R too (`Helpers.make_image` in its request.py).
    """

    def __init__(self, number: int, options: LiveOptions) -> None:
        try:
            from picamera2 import MappedArray, Picamera2
        except (ImportError, ValueError) as error:  # ValueError: made for another numpy
            raise MissingExtraError(
                f"picamera2 cannot be imported ({error}); sudo apt install python3-picamera2, and make the virtual "
                "environment with --system-site-packages"
            ) from error
        n_cameras = len(Picamera2.global_camera_info())
        if number >= n_cameras:
            raise InputError(
                f"picamera:{number}: no such camera, libcamera sees {n_cameras}; rpicam-hello --list-cameras shows them"
            )
        self.fps = options.fps
        self._name = f"picamera:{number}"
        self._timeout_s = options.read_timeout_s
        self._mapped_array = MappedArray
        try:
            self._camera: Any = Picamera2(number)
        except RuntimeError as error:
            raise InputError(f"{self._name}: it does not open ({error}); does another program use it?") from error
        try:
            self._start(options)
        except BaseException:
            self.close()
            raise

    def _start(self, options: LiveOptions) -> None:
        main: dict[str, Any] = {"format": "RGB888"}
        if options.size_wh is not None:
            main["size"] = options.size_wh
        controls = {} if options.fps is None else {"FrameRate": options.fps}
        try:
            self._camera.configure(self._camera.create_video_configuration(main=main, controls=controls))
            given = self._camera.camera_configuration()["main"]
            has_size = options.nearest_size or options.size_wh in (None, tuple(given["size"]))
            if given["format"] != "RGB888" or not has_size:
                raise InputError(
                    f"{self._name}: expected RGB888 of {options.size_wh or 'any size'}, the camera would send "
                    f"{given['format']} of {tuple(given['size'])}; ask for that size"
                )
            self._camera.start()
        except RuntimeError as error:
            raise InputError(f"{self._name}: it does not start ({error}); check cable and size") from error

    def read(self, into: Pixels | None) -> Pixels:
        """See Capture.read."""
        try:
            request = self._camera.capture_request(wait=self._timeout_s)
        except (RuntimeError, TimeoutError) as error:
            raise InputError(f"{self._name}: no frame came; check the cable") from error
        try:
            with self._mapped_array(request, "main") as mapped:
                image_bgr = check_bgr(self._name, mapped.array)
                if into is None or into.shape != image_bgr.shape:
                    return image_bgr.copy()
                np.copyto(into, image_bgr)
                return into
        finally:
            request.release()

    def close(self) -> None:
        """Stop and release the camera."""
        with suppress(RuntimeError):  # of a camera that is gone already
            self._camera.close()
