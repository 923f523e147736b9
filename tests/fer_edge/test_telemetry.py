"""No engine reports anything to anybody: variables are set before imports, no connection is tried, no file is left."""

from __future__ import annotations

import json

import pytest
from runtime_support import ENGINE_NAMES, installed_engine, run_python

# A finder that finds nothing sees each import start; the audit hook sees each connection that Python code tries, and
# /proc the sockets that native code holds.
CODE = """
import json, os, sys
from pathlib import Path

imports, connections = [], []


class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name in ("onnxruntime", "openvino", "openvino_telemetry"):
            imports.append([name, os.environ.get("ORT_DISABLE_TELEMETRY"), "openvino_telemetry" in sys.modules])
        return None


def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        connections.append(f"{event} {arguments[-1]}")


def sockets():
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(path))
        except OSError:
            continue
    return sum(link.startswith("socket:") for link in links)


sys.meta_path.insert(0, Recorder())
sys.addaudithook(audit)
sockets_before = sockets()

from fer_edge import EmotionPipeline
from fer_edge.assets import demo_photo_path
from fer_edge.images import read_image

faces = EmotionPipeline(sys.argv[2], engine=sys.argv[1])(read_image(demo_photo_path()))
print(json.dumps({
    "faces": len(faces),
    "imports": imports,
    "connections": connections,
    "new_sockets": sockets() - sockets_before,
    "telemetry": "openvino_telemetry" in sys.modules and sys.modules["openvino_telemetry"] is not None,
}))
"""


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_an_engine_keeps_to_itself(name, default_bundle, tmp_path):
    installed_engine(name)
    done = run_python(CODE, name, str(default_bundle.path.resolve()), HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # The variable is set, and the telemetry module blocked, when the import of the library starts.
    first = {
        "litert": [],
        "onnx": [["onnxruntime", "1", False]],
        "openvino": [["openvino", None, True]],
    }
    assert found["imports"] == first[name]
    assert not found["telemetry"]
    assert found["connections"] == []
    assert found["new_sockets"] == 0
    assert found["faces"] == 1
    assert list(tmp_path.iterdir()) == [], "something was written to the home directory"
