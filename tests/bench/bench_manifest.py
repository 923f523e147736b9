"""Manifests without files: what a plan is made from."""

from __future__ import annotations

from fer_edge.bundle import FileEntry, Manifest, StageSpec, Variant
from fer_edge.engines import TensorSpec

INPUT_SHAPES = {
    "pnet": (None, None, None, 3),
    "rnet": (None, 24, 24, 3),
    "onet": (None, 48, 48, 3),
    "classifier": (None, 48, 48, 1),
}
OUTPUT_WIDTHS = {"pnet": (1, 4), "rnet": (1, 4), "onet": (1, 4, 10), "classifier": (2,)}


def variant(stage: str, engine: str, precision: str) -> Variant:
    name = f"{engine}_{precision}"
    return Variant(
        engine=engine,
        precision=precision,
        model=FileEntry(file=f"{name}.bin", bytes=100, sha256="0" * 64),
        weights=None,
        inputs=(TensorSpec(name="x", shape=INPUT_SHAPES[stage], dtype="float32"),),
        outputs=tuple(
            TensorSpec(name=f"y{width}", shape=(None, width), dtype="float32") for width in OUTPUT_WIDTHS[stage]
        ),
        tested_with=f"{engine} 1",
    )


def manifest(classifier: list[tuple[str, str]], detector: list[str]) -> Manifest:
    def stage(name: str, variants: list[tuple[str, str]]) -> StageSpec:
        return StageSpec(
            name=name,
            colour="gray" if name == "classifier" else "bgr",
            pixel_mean=128.0,
            pixel_std=128.0,
            layout="NHWC",
            variants=tuple(variant(name, *pair) for pair in variants),
        )

    stages = {name: stage(name, [(engine, "float32") for engine in detector]) for name in ("pnet", "rnet", "onet")}
    return Manifest(
        name="some",
        version="1",
        licence="Apache-2.0",
        labels=("a", "b"),
        stages=stages | {"classifier": stage("classifier", classifier)},
        provenance={},
        calibration={},
        attribution=(),
    )


FULL = manifest(
    [("onnx", "float32"), ("litert", "int8"), ("litert", "float32"), ("openvino", "int8"), ("extra", "int8")],
    ["openvino", "onnx", "litert"],
)
