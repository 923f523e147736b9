"""A GStreamer pipeline that ends in an appsink: what a Jetson's camera needs."""

from __future__ import annotations

import math
import re

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, MissingExtraError
from fer_edge.sources.grabber import Capture
from fer_edge.sources.live import LiveSource
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.opencv_capture import OpenCvCapture

__all__ = ["open_pipeline"]


def open_pipeline(spec: str, options: LiveOptions) -> LiveSource:
    """Open a pipeline, written as for gst-launch-1.0.

    Args:
        spec: `gst:` and the pipeline, which has to end in `appsink` and deliver B, G, R.
        options: timeouts.

    Raises:
        InputError: it does not end in an appsink, does not start, or sends nothing.
        MissingExtraError: this OpenCV was built without GStreamer, as the one of the package index is.
    """
    pipeline = spec.removeprefix("gst:").strip()
    if not re.search(r"!\s*appsink\b[^!]*$", pipeline):
        raise InputError("gst: expected a pipeline that ends in ! appsink, found none there; add it")
    # A pipeline can hold passwords anywhere; its first element's name is shown.
    name = f"gst:{pipeline.split(maxsplit=1)[0]}"
    return LiveSource(name, "camera", lambda: _open(name, pipeline, options), options)


def _open(name: str, pipeline: str, options: LiveOptions) -> Capture:
    cv2 = import_cv2()
    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        raise MissingExtraError(
            f"{name}: this OpenCV ({cv2.__version__}) was built without GStreamer; build it with WITH_GSTREAMER=ON, or "
            "send the pipeline's frames to standard input and read them as raw:WIDTHxHEIGHT:bgr"
        )
    timeouts = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        math.ceil(1000 * options.open_timeout_s),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        math.ceil(1000 * options.read_timeout_s),
    ]
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, timeouts)
    if not capture.isOpened():
        # Builds before GStreamer had timeouts there refuse to open with them.
        capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        capture.release()
        raise InputError(f"{name}: the pipeline does not start; try it with gst-launch-1.0 and fakesink for appsink")
    return OpenCvCapture(
        name,
        capture,
        states_fps=True,
        advice="end the pipeline in ! videoconvert ! video/x-raw,format=BGR ! appsink, and see that its source runs",
    )
