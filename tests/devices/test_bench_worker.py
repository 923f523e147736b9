"""What runs in the processes of `fer-edge bench`, on an emulated aarch64 processor.

Its times say nothing about speed; that it measures at all, and what it says of memory and machine, does. The harness
around it starts processes, which the emulation cannot.
"""

import json
from pathlib import Path

import pytest
from aarch64 import run_in_root

from fer_edge.assets import demo_photo_path
from fer_edge.bundle import default_bundle_path
from fer_edge.typed_json import from_json_types
from fer_edge_bench.workers.single_stream import SingleStreamAnswer

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = """
import json, sys, time
from fer_edge_bench.harness import identify_machine
from fer_edge.typed_json import to_json_text
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_bench.workers.single_stream import SingleStreamJob, _measure
from fer_edge_devices.sensors import Sensors
from fer_edge_devices.system_tree import SystemTree

now = time.monotonic()
pipeline = PipelineJob(
    name="litert int8", bundle=sys.argv[1], pictures=(sys.argv[2],), engine="litert", precision="int8", threads=1,
    stages=None, cores=(),
    min_face_px=80.0, started_s=now,
)
answer = _measure(SingleStreamJob(pipeline=pipeline, process_started_s=now, runs=2, bulk_s=0.0))
Sensors(SystemTree()).read()
machine = json.loads(to_json_text(identify_machine(SystemTree())))
print(json.dumps({"machine": machine, "answer": json.loads(to_json_text(answer))}))
"""


@pytest.mark.arm
@pytest.mark.slow
def test_on_aarch64(arm64_root):
    folders = [REPOSITORY, REPOSITORY / "benchmarks", REPOSITORY / "devices"]
    words = ["-c", CODE, str(default_bundle_path()), str(demo_photo_path())]
    done = run_in_root(arm64_root, words, pythonpath=folders, timeout_s=540)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["machine"]["architecture"] == "aarch64"
    answer = from_json_types(SingleStreamAnswer, found["answer"], "the answer")
    measured = answer.measured
    assert answer.engine_version.startswith("ai-edge-litert")
    assert [work.n_faces for work in measured.work] == [1]
    assert measured.work[0].rnet_crops >= measured.work[0].onet_crops >= 1
    assert 20e6 < measured.peak_memory_bytes < 2e9
    assert measured.cold_start_ms > measured.frame.samples_ms["frame"][0] > 0
