"""The default bundle's golden vectors, replayed on other processors than the one it was made on."""

import json
import os
from pathlib import Path

import pytest
from aarch64 import MissingToolError, run_in_root
from processors import PROCESSORS
from x86_64 import run_on_x86

from fer_edge.bundle import default_bundle_path

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = """
import json, platform, sys
from pathlib import Path
from fer_edge.bundle import Bundle
from fer_edge.golden import replay_golden

replays = [replay.to_json() for replay in replay_golden(Bundle.open(Path(sys.argv[1])))]
print(json.dumps({"machine": platform.machine(), "replays": replays}))
"""


def check(found: dict, engines: set[str]) -> None:
    """What the manifest lets through is what these engines give; the others are not installed."""
    ran = [replay for replay in found["replays"] if replay["outcome"] != "skipped"]
    assert {replay["engine"] for replay in ran} == engines
    assert [replay for replay in ran if replay["outcome"] in ("differs", "failed")] == []
    promised = {
        (replay["stage"], replay["engine"], replay["precision"])
        for replay in ran
        if (replay["outcome"], replay["tolerance"]) == ("exact", 0)
    }
    assert promised >= {("classifier", engine, "int8") for engine in ("litert", "onnx")}


@pytest.mark.arm
@pytest.mark.parametrize("processor", PROCESSORS)
def test_golden_vectors_on_aarch64(arm64_root, processor):
    bundle = os.environ.get("FER_EDGE_TEST_BUNDLE", str(default_bundle_path()))
    done = run_in_root(arm64_root, ["-c", CODE, bundle], pythonpath=[REPOSITORY], timeout_s=540, processor=processor)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"] == "aarch64"
    check(found, {"litert", "onnx"})


@pytest.mark.arm
def test_golden_vectors_on_x86_without_vnni():
    bundle = os.environ.get("FER_EDGE_TEST_BUNDLE", str(default_bundle_path()))
    try:
        done = run_on_x86(["-c", CODE, bundle], pythonpath=[REPOSITORY], timeout_s=540, processor="Haswell")
    except MissingToolError as error:
        pytest.skip(str(error))
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout), {"litert", "onnx", "openvino"})
