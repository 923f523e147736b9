"""The same model file, timed by the harness and by the engines' own tools, in turns, in one run.

OpenVINO has benchmark_app, LiteRT litert-benchmark; ONNX Runtime's package has no such tool, so a plain loop of its API
stands in for it.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_edge.bundle import Bundle
from fer_edge.engines import ENGINE_NAMES

pytestmark = [pytest.mark.slow, pytest.mark.alone]

# As many as it takes until both sides had a turn in which nothing else ran, but no more.
MAX_TURNS = 10
TOLERANCE = 0.1
# What keeps both sides to one core, the last that this process may use.
CORE = max(os.sched_getaffinity(0))
PACKAGES = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino"}

HARNESS = """
import sys, time
import numpy as np
from fer_edge.bundle import Bundle
from fer_edge.engines import load_engine
from fer_edge.stage import Stage
from fer_edge_bench.measure import measure_steady
from fer_edge_bench.statistics import summarize

stage = Stage(Bundle.open(None), "classifier", load_engine(sys.argv[1]), precision=sys.argv[2])
face = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 1), dtype=np.uint8)
stage.run(face)
# The tools fill their inputs once and time the engine alone, so that is what is timed here.
(loaded,) = stage._sessions.values()
clock = time.perf_counter


def work(_):
    started = clock()
    loaded.session.run(loaded.buffer)
    return {"engine": 1000 * (clock() - started)}


print(summarize([measure_steady(work, 1, 1000).samples_ms["engine"]]).p50_ms)
"""

ONNX_LOOP = """
import sys, time
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
dtype = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[entry.type]
face = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 1)).astype(dtype)
times = []
for _ in range(1200):
    started = time.perf_counter()
    session.run(None, {entry.name: face})
    times.append(1000 * (time.perf_counter() - started))
print(float(np.median(times[200:])))
"""


def bound(command: list[str], cwd: Path) -> str:
    """Run a command on one core and return what it prints."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1")
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {CORE}),
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout


def tool(name: str) -> str:
    """The path of a program that came with an engine's package."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def by_benchmark_app(model: Path) -> float:
    one_core = ["-hint", "none", "-api", "sync", "-nstreams", "1", "-nthreads", "1"]
    work = ["-t", "1", "-infer_precision", "f32", "-shape", "[1,48,48,1]"]
    said = bound([tool("benchmark_app"), "-m", str(model), *one_core, *work], model.parent)
    match = re.search(r"Median: +([0-9.]+) (us|ms)", said)
    assert match is not None, said[-1000:]
    return float(match[1]) * {"us": 1e-3, "ms": 1.0}[match[2]]


def by_litert_benchmark(model: Path) -> float:
    result = model.parent / "result.json"
    options = ["--num_threads", "1", "--warmup_runs", "200", "--num_runs", "1000", "--result_json", str(result)]
    bound([tool("litert-benchmark"), "--model", str(model), *options], model.parent)
    return float(json.loads(result.read_text(encoding="utf-8"))["latency"]["median_ms"])


def by_onnx_loop(model: Path) -> float:
    return float(bound([sys.executable, "-c", ONNX_LOOP, str(model)], model.parent).split()[-1])


TOOLS: dict[str, Callable[[Path], float]] = {
    "litert": by_litert_benchmark,
    "onnx": by_onnx_loop,
    "openvino": by_benchmark_app,
}


def unpack(engine: str, precision: str, folder: Path) -> Path:
    """Write a variant's files as the engine's own tool reads them; return the model's path."""
    bundle = Bundle.open(None)
    variants = bundle.manifest.stages["classifier"].variants
    variant = next(item for item in variants if (item.engine, item.precision) == (engine, precision))
    path = folder / variant.model.file.removesuffix(".gz")
    data = bundle.read(variant.model)
    path.write_bytes(gzip.decompress(data) if variant.model.file.endswith(".gz") else data)
    if variant.weights is not None:
        path.with_suffix(".bin").write_bytes(bundle.read(variant.weights))
    return path


# The smallest network that OpenVINO runs shows most of what its binding costs.
@pytest.mark.parametrize(("engine", "precision"), [*((name, "int8") for name in ENGINE_NAMES), ("openvino", "float32")])
def test_the_median_is_the_tools(engine: str, precision: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(PACKAGES[engine]) is None:
        pytest.skip(f"{PACKAGES[engine]} is not installed")
    model = unpack(engine, precision, tmp_path)
    ours: list[float] = []
    theirs: list[float] = []
    while len(ours) < MAX_TURNS:
        ours.append(float(bound([sys.executable, "-c", HARNESS, engine, precision], tmp_path).split()[-1]))
        theirs.append(TOOLS[engine](model))
        # What else runs on the machine can only add: the best turn of each is the one to compare.
        if len(ours) > 1 and min(ours) == pytest.approx(min(theirs), rel=TOLERANCE):
            return
    pytest.fail(f"{ours} ms here, {theirs} ms there")
