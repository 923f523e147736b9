"""Manifests without files: what a plan is made from."""

from __future__ import annotations

from fer_edge.bundle import FileEntry, Manifest, StageSpec, Variant
from fer_edge.engines import TensorSpec


def variant(engine: str, precision: str) -> Variant:
    name = f"{engine}_{precision}"
    return Variant(
        engine=engine,
        precision=precision,
        model=FileEntry(file=f"{name}.bin", bytes=100, sha256="0" * 64),
        weights=None,
        inputs=(TensorSpec(name="x", shape=(None, 48, 48, 1), dtype="float32"),),
        outputs=(TensorSpec(name="y", shape=(None, 7), dtype="float32"),),
        tested_with=f"{engine} 1",
    )


def manifest(classifier: list[tuple[str, str]], detector: list[str]) -> Manifest:
    def stage(name: str, variants: list[tuple[str, str]]) -> StageSpec:
        return StageSpec(
            name=name,
            colour="gray",
            pixel_mean=128.0,
            pixel_std=128.0,
            layout="NHWC",
            variants=tuple(variant(*pair) for pair in variants),
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
