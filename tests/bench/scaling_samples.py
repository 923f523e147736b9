"""A record of `fer-edge bench scaling` made by hand, with times that lie on lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_edge_bench.load import LoadIdentity
from fer_edge_bench.record import BundleIdentity, MachineIdentity
from fer_edge_bench.samples import FrameWork
from fer_edge_bench.scaling.figures import case_figures
from fer_edge_bench.scaling.record import SCHEMA, ScalingCase, ScalingRecord, ScalingSettings
from fer_edge_bench.scaling.samples import (
    CrowdPoint,
    MemoryRun,
    PixelPoint,
    ScalingRound,
    SplitSamples,
    StageSamples,
)

PEAKS = {"conv1x1 float32": 400_000_000, "conv3x3 float32": 900_000_000, "conv1x1 int8": 400_000_000}
PRECISIONS = {"pnet": "float32", "rnet": "float32", "onet": "float32", "classifier": "int8"}
CLASSIFIER = 10_000_000


def work(
    n_faces: int = 1, pnet_size_wh: tuple[int, int] = (12, 12), rnet: int = 2, onet: int = 1, pnet_runs: int = 1
) -> FrameWork:
    return FrameWork(n_faces=n_faces, pnet_sizes_wh=(pnet_size_wh,) * pnet_runs, rnet_crops=rnet, onet_crops=onet)


def one_round(scale: float = 1.0, peak_ms: Mapping[str, tuple[float, ...]] | None = None) -> ScalingRound:
    """A frame of 10 ms and a second picture of 20; crowds of 5 + 2 n ms; 4 + 30 ms a megapixel."""
    peaks_ms = {
        "conv1x1 float32": (10.0 * scale,),
        "conv3x3 float32": (30.0 * scale,),
        "conv1x1 int8": (5.0 * scale,),
    }
    return ScalingRound(
        stages=StageSamples(
            work=(work(), work(n_faces=3)),
            inputs=(0, 1),
            frame_ms=(10.0 * scale, 20.0 * scale),
            engine_ms={
                "pnet": (2.0 * scale, 4.0 * scale),
                "rnet": (1.0 * scale, 1.0 * scale),
                "onet": (1.0 * scale, 1.0 * scale),
                "classifier": (1.0 * scale, 3.0 * scale),
            },
            peak_ms=peaks_ms if peak_ms is None else peak_ms,
        ),
        split=SplitSamples(
            frame_ms=(10.0, 10.0, 20.0),
            engine_ms=(6.0, 6.0, 12.0),
            opencv_ms=(3.0, 3.0, 6.0),
            opencv_calls=(50, 50, 100),
            clock_us=2.0,
        ),
        crowd=tuple(
            CrowdPoint(
                asked=n,
                work=work(n_faces=n, rnet=10 * n, onet=4 * n),
                frame_ms=((5.0 + 2.0 * n) * scale,),
                rnet_ms=((1.0 + 0.5 * n) * scale,),
                onet_ms=(n * scale,),
            )
            for n in (1, 2, 10)
        ),
        pixels=tuple(
            PixelPoint(size_wh=(1000 * n, 1000), work=work(), frame_ms=((4.0 + 30.0 * n) * scale,)) for n in (1, 2, 3)
        ),
    )


def memory_run(kind: str = "pipeline", grown_bytes: int = 0, frames: int = 1000) -> MemoryRun:
    """100 MB after a warm-up at 90; from there to the last frame a straight line."""
    at = tuple(range(frames // 10, frames + 1, frames // 10))
    rise = tuple(100_000_000 + grown_bytes * i // (len(at) - 1) for i in range(len(at)))
    return MemoryRun(
        kind=kind,
        frames=frames,
        at_frame=(frames // 20, *at),
        resident_bytes=(90_000_000, *rise),
        peak_bytes=(95_000_000, *(max(rise[: i + 1]) for i in range(len(rise)))),
        wall_s=frames / 50,
    )


def case(*rounds: ScalingRound, memory: tuple[MemoryRun, ...] | None = None, **changes: Any) -> ScalingCase:
    rounds = rounds or (one_round(), one_round(1.1))
    runs = (memory_run(), memory_run("tracker", 500_000)) if memory is None else memory
    peaks = {name: PEAKS[name] for name in rounds[0].stages.peak_ms}
    fields: dict[str, Any] = {
        "engine": "litert",
        "engine_version": "ai-edge-litert 2",
        "precision": "int8",
        "threads": 1,
        "cores": (1,),
        "precisions": PRECISIONS,
        "classifier_multiply_adds": CLASSIFIER,
        "peak_multiply_adds": peaks,
        "figures": case_figures(rounds, runs, PRECISIONS, CLASSIFIER, peaks),
        "rounds": rounds,
        "memory": runs,
    }
    return ScalingCase(**(fields | changes))


def record(*cases: ScalingCase, **changes: Any) -> ScalingRecord:
    made = cases or (case(),)
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "created_utc": "2026-11-28T01:02:03+00:00",
        "machine": MachineIdentity(
            board="generic",
            model="A board",
            architecture="x86_64",
            cpu="A processor",
            cores=2,
            memory_bytes=4 * 10**9,
            system="Linux",
            python="3.12",
            int8_features=(),
        ),
        "versions": {"fer-edge": "0"},
        "bundle": BundleIdentity(name="default", version="1", manifest_sha256="0" * 64, classifier="sepnet_tiny"),
        "load": tuple(LoadIdentity(name=f"{i}.jpg", bytes=9, sha256="0" * 64, size_wh=(640, 480)) for i in range(2)),
        "settings": ScalingSettings(rounds=len(made[0].rounds), frames=1000),
        "busy_percent": 1.0,
        "cases": made,
    }
    return ScalingRecord(**(fields | changes))
