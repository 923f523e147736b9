"""The conversion packages, imported with telemetry off and without their chatter."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from typing import Any

from fer_edge.errors import MissingExtraError

__all__ = ["quiet_tensorflow", "require_converters"]


def require_converters() -> None:
    """Set what must be set before the conversion packages are imported, and import them.

    Raises:
        MissingExtraError: one is not installed.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the LiteRT converter reads TensorFlow graphs
    # Two lines that TensorFlow 2.21 writes while it is loaded, about oneDNN and CUDA, come before it reads this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    warnings.filterwarnings("ignore", module=r"(tensorflow|keras|tf2onnx|onnx|nncf|openvino)\b.*")
    try:
        # Standard output belongs to results; NNCF's log keeps the stream that it finds while it is imported.
        with contextlib.redirect_stdout(sys.stderr):
            import keras
            import nncf
            import onnx
            import onnxruntime
            import openvino
            import tensorflow
            import tf2onnx
    except ImportError as error:
        raise MissingExtraError(f'conversion needs {error.name}; pip install "fer-edge[convert]"') from error
    del keras, onnx, openvino
    tensorflow.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    tf2onnx.logging.set_level(logging.ERROR)
    nncf.set_log_level(logging.ERROR)
    onnxruntime.set_default_logger_severity(3)


def quiet_tensorflow() -> Any:
    """Return the module tensorflow."""
    require_converters()
    import tensorflow

    return tensorflow
