"""Which cases are measured: what is installed and in the bundle, or exactly what was asked for."""

from __future__ import annotations

import pytest
from bench.bench_manifest import FULL, manifest

from fer_edge.bundle import Manifest
from fer_edge.engines import files_name
from fer_edge.errors import FerEdgeError, IntegrityError, MissingExtraError, UsageError
from fer_edge_bench.plan import plan_cases


def plan(of: Manifest, installed: str, engines: str = "", precisions: str = "") -> tuple[list[str], list[str]]:
    def probe(name: str) -> str:
        if name not in installed.split():
            raise MissingExtraError(f"{name} is not installed")
        return f"{name} 1"

    said: list[str] = []
    cases = plan_cases(of, engines=engines.split(), precisions=precisions.split(), probe=probe, say=said.append)
    for case in cases:
        assert case.variants["classifier"].precision == case.precision
        assert {item.engine for item in case.variants.values()} == {files_name(case.engine)}
    return [f"{case.engine} {case.precision}" for case in cases], said


@pytest.mark.parametrize(
    ("installed", "engines", "precisions", "cases", "said"),
    [
        pytest.param(
            "litert onnx openvino",
            "",
            "",
            ["litert int8", "litert float32", "onnx float32", "openvino int8"],
            [],
            id="all, in the runtime's order, preferred precision first",
        ),
        pytest.param(
            "litert",
            "",
            "",
            ["litert int8", "litert float32"],
            ["left out: onnx is not installed", "left out: openvino is not installed"],
            id="one installed",
        ),
        pytest.param(
            "litert onnx", "onnx tflite", "", ["onnx float32", "litert int8", "litert float32"], [], id="asked"
        ),
        pytest.param("litert", "litert tflite", "int8 int8", ["litert int8"], [], id="asked twice"),
        pytest.param("litert onnx openvino", "", "float32", ["litert float32", "onnx float32"], [], id="one precision"),
        pytest.param(
            "litert",
            "litert",
            "float32 int8",
            ["litert float32", "litert int8"],
            [],
            id="precisions in the asked order",
        ),
    ],
)
def test_cases(installed: str, engines: str, precisions: str, cases: list[str], said: list[str]) -> None:
    assert plan(FULL, installed, engines, precisions) == (cases, said)


@pytest.mark.parametrize(
    ("installed", "engines", "cases", "said"),
    [
        pytest.param(
            "litert onnx onnx-cuda", "", ["litert int8", "litert float32", "onnx float32", "onnx-cuda float32"],
            ["left out: openvino is not installed"], id="works",
        ),
        pytest.param(
            "onnx", "", ["onnx float32"],
            [f"left out: {name} is not installed" for name in ("litert", "openvino", "onnx-cuda")], id="cannot start",
        ),
        pytest.param("onnx-cuda", "onnx-cuda", ["onnx-cuda float32"], [], id="asked"),
    ],
)  # fmt: skip
def test_an_accelerated_engine_runs_the_files_of_another(
    monkeypatch: pytest.MonkeyPatch, installed: str, engines: str, cases: list[str], said: list[str]
) -> None:
    monkeypatch.setattr("fer_edge.engines._offered", lambda: ["onnx-cuda"])
    assert plan(FULL, installed, engines) == (cases, said)


NO_ENGINE_COMMON = manifest([("onnx", "int8")], ["litert"])


@pytest.mark.parametrize(
    ("of", "installed", "engines", "precisions", "kind", "message"),
    [
        pytest.param(FULL, "litert", "onnx", "", MissingExtraError, "^onnx is not installed$", id="asked, missing"),
        pytest.param(FULL, "litert", "litret", "", UsageError, "did you mean litert", id="misspelt"),
        pytest.param(
            FULL, "onnx", "onnx", "int8", MissingExtraError, "classifier has no variant for onnx int8", id="precision"
        ),
        pytest.param(
            FULL,
            "onnx",
            "",
            "int8 int4",
            MissingExtraError,
            "^the bundle's classifier has no variant for onnx in int8 or int4; it has onnx float32, litert int8, ",
            id="no case left",
        ),
        pytest.param(
            FULL,
            "",
            "",
            "",
            MissingExtraError,
            r'^none of the engines litert, onnx, openvino is installed; pip install "fer-edge\[litert\]" or ',
            id="nothing installed",
        ),
        pytest.param(
            NO_ENGINE_COMMON, "litert", "litert", "", MissingExtraError, "no variant for litert", id="not in classifier"
        ),
        pytest.param(NO_ENGINE_COMMON, "onnx", "onnx", "", MissingExtraError, "pnet has no variant", id="not in pnet"),
        pytest.param(NO_ENGINE_COMMON, "litert", "", "", IntegrityError, "no engine has a variant", id="none common"),
    ],
)
def test_what_cannot_be_planned(
    of: Manifest, installed: str, engines: str, precisions: str, kind: type[FerEdgeError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        plan(of, installed, engines, precisions)


def test_a_bundle_without_a_detector() -> None:
    stages = {"classifier": FULL.stages["classifier"]}
    alone = Manifest(
        name="some",
        version="1",
        licence="",
        labels=("a",),
        stages=stages,
        provenance={},
        calibration={},
        attribution=(),
    )
    with pytest.raises(IntegrityError, match="a benchmark needs the stages pnet, rnet, onet"):
        plan(alone, "litert")
