"""How near the harness's times of a model come to those of the engines' own tools.

    python benchmarks/studies/harness_times.py [--turns N] [--core NUMBER] [ENGINE:PRECISION ...]

The default bundle's classifier is timed on one core by the harness and by OpenVINO's benchmark_app, LiteRT's
litert-benchmark, and a plain loop of ONNX Runtime's API, whose package has no such tool; each in a fresh process, in
turns. A turn gives the quotient of the two medians; printed are their median and range, and the quotient of the best
medians: what else runs on the machine can only add.

The harness's clock stands around the engine's binding for Python, benchmark_app's within the engine: about a hundredth
of a millisecond, the larger a share the smaller the network. docs/benchmarking.md has what was found.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fer_edge.bundle import Bundle, Variant
from fer_edge.machine import cpu_model

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


def bound(command: Sequence[str], folder: Path, core: int) -> str:
    """Run a command on one core, with one thread, and return what it prints."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise SystemExit(f"{Path(command[0]).name} ended with {done.returncode}: {said[-1]}")
    return done.stdout


def tool(name: str) -> str:
    """Return the path of a program that came with an engine's package."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit(f"{name}: expected it beside {sys.executable}, found none; install its package")
    return found


def by_benchmark_app(model: Path, core: int) -> float:
    one_core = ["-hint", "none", "-api", "sync", "-nstreams", "1", "-nthreads", "1"]
    work = ["-t", "1", "-infer_precision", "f32", "-shape", "[1,48,48,1]"]
    said = bound([tool("benchmark_app"), "-m", str(model), *one_core, *work], model.parent, core)
    match = re.search(r"Median: +([0-9.]+) (us|ms)", said)
    if match is None:
        raise SystemExit(f"benchmark_app: expected a median, found {said[-1000:]}")
    return float(match[1]) * {"us": 1e-3, "ms": 1.0}[match[2]]


def by_litert_benchmark(model: Path, core: int) -> float:
    result = model.parent / "result.json"
    options = ["--num_threads", "1", "--warmup_runs", "200", "--num_runs", "1000", "--result_json", str(result)]
    bound([tool("litert-benchmark"), "--model", str(model), *options], model.parent, core)
    return float(json.loads(result.read_text(encoding="utf-8"))["latency"]["median_ms"])


def by_onnx_loop(model: Path, core: int) -> float:
    return float(bound([sys.executable, "-c", ONNX_LOOP, str(model)], model.parent, core).split()[-1])


TOOLS: dict[str, tuple[str, Callable[[Path, int], float]]] = {
    "litert": ("litert-benchmark", by_litert_benchmark),
    "onnx": ("a plain loop", by_onnx_loop),
    "openvino": ("benchmark_app", by_benchmark_app),
}
# The smallest network that OpenVINO runs shows most of what its binding costs, so its float32 is timed too.
DEFAULT = (*(f"{name}:int8" for name in TOOLS), "openvino:float32")


def variant_of(text: str) -> Variant:
    """Return the variant of "ENGINE:PRECISION" in the default bundle."""
    known = {
        f"{item.engine}:{item.precision}": item
        for item in Bundle.open(None).manifest.stages["classifier"].variants
        if item.engine in TOOLS
    }
    if text not in known:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(known)}, found {text}")
    return known[text]


def core_of(text: str) -> int:
    """Return the number of a core that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if text not in map(str, cores):
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(map(str, cores))}, found {text}")
    return int(text)


def unpack(variant: Variant, folder: Path) -> Path:
    """Write a variant's files as the engine's own tool reads them; return the model's path."""
    bundle = Bundle.open(None)
    path = folder / variant.model.file.removesuffix(".gz")
    data = bundle.read(variant.model)
    path.write_bytes(gzip.decompress(data) if variant.model.file.endswith(".gz") else data)
    if variant.weights is not None:
        path.with_suffix(".bin").write_bytes(bundle.read(variant.weights))
    return path


def compare(variant: Variant, turns: int, core: int) -> str:
    """Return a line on the quotients of the two medians, the harness's over the tool's."""
    engine, precision = variant.engine, variant.precision
    name, by_tool = TOOLS[engine]
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        model = unpack(variant, folder)
        for _ in range(turns):
            theirs.append(by_tool(model, core))
            ours.append(float(bound([sys.executable, "-c", HARNESS, engine, precision], folder, core).split()[-1]))
    quotients = [one / other for one, other in zip(ours, theirs, strict=True)]
    return (
        f"{engine} {precision}: best {min(ours):.4f} ms, {name} {min(theirs):.4f} ms, quotient "
        f"{min(ours) / min(theirs):.3f}; of the turns {statistics.median(quotients):.3f} "
        f"({min(quotients):.3f} to {max(quotients):.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "variants",
        nargs="*",
        type=variant_of,
        metavar="ENGINE:PRECISION",
        help=f"of the default bundle ({' '.join(DEFAULT)})",
    )
    parser.add_argument("--turns", type=int, default=10, help="of each variant (10)")
    last = max(os.sched_getaffinity(0))
    parser.add_argument("--core", type=core_of, default=last, help=f"that everything is bound to ({last})")
    arguments = parser.parse_args()
    if arguments.turns < 1:
        parser.error(f"--turns: expected 1 or more, found {arguments.turns}")
    print(f"{cpu_model()}, core {arguments.core}, {arguments.turns} turns", flush=True)
    for variant in arguments.variants or map(variant_of, DEFAULT):
        print(compare(variant, arguments.turns, arguments.core), flush=True)


if __name__ == "__main__":
    main()
