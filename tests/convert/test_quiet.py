from __future__ import annotations

import subprocess
import sys

import pytest
from train.support import child_environment

from fer_edge.errors import MissingExtraError
from fer_edge_convert.quiet import require_converters


@pytest.mark.parametrize("name", ["tensorflow", "tf2onnx", "onnx", "onnxruntime", "openvino", "nncf", "keras"])
def test_a_missing_package_is_named_with_the_extra(monkeypatch, name):
    monkeypatch.setattr("warnings.filters", [])
    for package in ("keras", "nncf", "onnx", "onnxruntime", "openvino", "tensorflow", "tf2onnx"):
        monkeypatch.setitem(sys.modules, package, None if package == name else type(sys)(package))
    with pytest.raises(MissingExtraError, match=rf'needs {name}; pip install "fer-edge\[convert\]"$'):
        require_converters()


@pytest.mark.host
@pytest.mark.slow
def test_standard_output_stays_free_and_errors_are_heard(converters, tmp_path):
    """Nothing is printed by the imports; what the packages log from ERROR on goes to standard error."""
    home, caches = tmp_path / "home", tmp_path / "caches"
    home.mkdir()
    script = """
import sys
from fer_edge_convert.quiet import require_converters
require_converters()
import nncf, tf2onnx, logging, os, tensorflow
nncf.nncf_logger.info("quiet note")
nncf.nncf_logger.warning("quiet warning")
nncf.nncf_logger.error("loud of nncf")
tensorflow.get_logger().warning("quiet of tensorflow")
tensorflow.get_logger().error("loud of tensorflow")
logging.getLogger("tf2onnx").error("loud of tf2onnx")
assert sys.modules["openvino_telemetry"] is None
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
assert os.environ["KERAS_BACKEND"] == "tensorflow"
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=500,
        env=child_environment() | {"HOME": str(home), "KERAS_HOME": str(caches), "MPLCONFIGDIR": str(caches)},
        cwd=home,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "quiet" not in done.stderr
    for name in ("nncf", "tensorflow", "tf2onnx"):
        assert f"loud of {name}" in done.stderr
    assert list(home.iterdir()) == []  # and nobody's telemetry left a file at home
