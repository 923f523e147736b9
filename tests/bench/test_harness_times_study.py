"""The study that times a model by the harness and by the engines' own tools: what it prints, and what it refuses."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).resolve().parents[2] / "benchmarks" / "studies" / "harness_times.py"
PACKAGES = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino"}


def study(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(STUDY), *words], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("engine", PACKAGES)
def test_both_time_the_same_work(engine: str) -> None:
    if importlib.util.find_spec(PACKAGES[engine]) is None:
        pytest.skip(f"{PACKAGES[engine]} is not installed")
    done = study("--turns", "3", f"{engine}:int8")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    found = re.match(rf"{engine} int8: best [0-9.]+ ms, .+ [0-9.]+ ms, quotient ([0-9.]+); ", line)
    assert found is not None, done.stdout
    # How near they come, a few percent, is for a quiet machine and more turns to tell. A harness that took half as long
    # as the work itself would be found here.
    assert 0.67 < float(found[1]) < 1.5


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["caffe:int8"], "expected one of litert:int8, "),
        (["onnx"], "found onnx\n"),
        (["openvino:int8", "onnx:int3"], "found onnx:int3\n"),
        (["--core", "99999"], "found 99999\n"),
        (["--turns", "0"], "expected 1 or more, found 0"),
    ],
)
def test_refuses(words: list[str], complaint: str) -> None:
    done = study(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
