"""The one way to OpenCV: its limits and its talkativeness are read while it is loaded, so they are set before."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from fer_edge.errors import MissingExtraError

__all__ = ["MAX_IMAGE_PIXELS", "import_cv2"]

# The largest common "50 megapixel" phone picture is 8160 x 6144; three bytes each, this limit decodes to 157 MB.
MAX_IMAGE_PIXELS = 50 * 1024 * 1024

_ENVIRONMENT = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_IMAGE_PIXELS),
    # Failures are reported by fer-edge, in one line each; libraries below it would add their own.
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}


@lru_cache(maxsize=1)
def import_cv2() -> Any:
    """Return the module cv2; what the user set in OpenCV's environment variables stays as it is."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            f"OpenCV cannot be imported ({error}); pip install --force-reinstall opencv-python-headless"
        ) from error
    return cv2
