"""Candidates and choices of hand-made times, and the command as a whole."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from runtime_support import run_cli

from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.errors import GateError
from fer_edge.tuning import StageChoice
from fer_edge_bench.tune import Measured, candidates_of, choose, describe
from fer_edge_bench.workers.stages import StageTime


def times(precision: str, *frame_ms: float) -> tuple[StageTime, ...]:
    """Of the four stages in order."""
    return tuple(
        StageTime(stage=name, precision=precision, frame_ms=value)
        for name, value in zip(STAGE_NAMES, frame_ms, strict=True)
    )


def choice(engine: str, precision: str = "float32", threads: int = 1) -> StageChoice:
    return StageChoice(engine=engine, precision=precision, threads=threads)


def test_every_set_of_engines_gives_its_best() -> None:
    found = candidates_of(
        {
            ("litert", 1): (*times("float32", 5, 4, 3, 1), *times("int8", 9, 9, 9, 2)),
            ("litert", 2): times("float32", 3, 5, 3, 1),
            ("onnx", 1): times("float32", 6, 2, 4, 0.5),
        }
    )
    assert [candidate.stages_ms for candidate in found] == [8.5, 11.0, 12.5]
    both, litert, onnx = (candidate.stages for candidate in found)
    assert both == {
        "pnet": choice("litert", threads=2),
        "rnet": choice("onnx"),
        "onet": choice("litert"),
        "classifier": choice("onnx"),
    }
    assert set(litert.values()) == {choice("litert"), choice("litert", threads=2)}
    assert set(onnx.values()) == {choice("onnx")}


def test_an_engine_that_never_wins_adds_no_candidate() -> None:
    found = candidates_of({("litert", 1): times("float32", 1, 1, 1, 1), ("onnx", 1): times("float32", 2, 2, 2, 2)})
    assert [describe(candidate.stages) for candidate in found] == [
        "pnet, rnet, onet, classifier: litert float32",
        "pnet, rnet, onet, classifier: onnx float32",
    ]


def test_an_engine_without_a_stage_serves_beside_another() -> None:
    found = candidates_of(
        {
            ("litert", 1): times("float32", 1, 1, 1, 9),
            ("extra", 1): (StageTime(stage="classifier", precision="int8", frame_ms=1.0),),
        }
    )
    assert [candidate.stages_ms for candidate in found] == [4.0, 12.0]
    assert found[0].stages["classifier"] == choice("extra", "int8")


def measured(scale: float, peak_mb: float = 80.0, jitter: float = 0.01, engine: str = "litert") -> Measured:
    return Measured(
        stages=dict.fromkeys(STAGE_NAMES, choice(engine)),
        frames_ms=tuple((10 * scale * (1 + jitter * (i - 1.5)),) * 8 for i in range(4)),
        peak_memory_bytes=int(peak_mb * 1e6),
    )


@pytest.mark.parametrize(
    ("candidates", "max_mb", "expected"),
    [
        pytest.param([measured(1.0), measured(0.8)], None, 1, id="faster"),
        pytest.param([measured(1.0), measured(1.2)], None, 0, id="slower"),
        pytest.param([measured(1.0, jitter=0.1), measured(0.97, jitter=0.1)], None, 0, id="not beyond doubt"),
        pytest.param([measured(1.0), measured(0.5, 200.0), measured(0.8)], 100.0, 2, id="too large"),
        pytest.param([measured(1.0, 200.0), measured(1.3)], 100.0, 1, id="the default is too large"),
        pytest.param([measured(1.0), measured(0.7), measured(0.6)], None, 2, id="the fastest of several"),
    ],
)
def test_choice(candidates: list[Measured], max_mb: float | None, expected: int) -> None:
    found = choose(candidates, None if max_mb is None else int(1e6 * max_mb))
    assert found is candidates[expected]


def test_nothing_fits() -> None:
    with pytest.raises(GateError, match="expected at most 50 MB, found 80 MB for the smallest choice; allow more"):
        choose([measured(1.0), measured(1.0, 90.0)], 50_000_000)


def test_description() -> None:
    stages = dict.fromkeys(STAGE_NAMES, choice("litert")) | {"classifier": choice("onnx", "int8", 4)}
    assert describe(stages) == "pnet, rnet, onet: litert float32; classifier: onnx int8, 4 threads"


needs_litert = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("ai_edge_litert", "tflite_runtime")),
    reason="the engine litert is not installed",
)


@needs_litert
@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    words = ("tune", "--engine", "litert", "--threads", "1", "--min-face", "80")
    done = run_cli(*words, "--json", FER_EDGE_TUNING=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text(encoding="utf-8")) == found
    assert set(found["stages"]) == set(STAGE_NAMES)
    assert {entry["engine"] for entry in found["stages"].values()} == {"litert"}
    assert 0 < found["frame_ms"] <= found["default_frame_ms"]
    assert done.stderr.splitlines()[-1].startswith(f"fer-edge: remembered in {path}")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--threads", "0"), 2, "--threads: expected 1 or more, found 0"),
        (("--max-memory-mb", "0"), 2, "--max-memory-mb: expected a number above 0, found 0"),
        (("--min-face", "5"), 2, "min_face_px: expected 12 or more"),
        (("--engine", "tflit"), 2, "did you mean tflite?"),
        (("none",), 1, "no bundle at"),
        (("--photo", "none.png"), 1, "no such file"),
    ],
    ids=["threads", "memory", "face", "engine", "bundle", "photo"],
)
def test_what_is_wrong(tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = run_cli("tune", *words, FER_EDGE_TUNING=str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert not (tmp_path / "none").exists()
