"""A record made by hand, small enough to check its figures on paper."""

from typing import Any

from fer_edge_bench.record import SCHEMA, BenchRecord, BundleIdentity, Case, PhotoIdentity, Settings, StageFile
from fer_edge_bench.samples import PhotoSamples, Round, Steady
from fer_edge_bench.summary import summarize_case

MACHINE_MEMORY_BYTES = 4 * 10**9


def steady(settled: bool = True, wall_s: float = 0.1, cpu_s: float = 0.05, **series: tuple[float, ...]) -> Steady:
    return Steady(
        warm_up_runs=10, settled=settled, wall_s=wall_s, cpu_user_s=cpu_s, cpu_system_s=0.0, samples_ms=series
    )


def one_round(frame: tuple[float, ...], **changes: Any) -> Round:
    photo = PhotoSamples(
        size_wh=(512, 512),
        n_faces=1,
        decode=steady(decode=tuple(5.0 for _ in frame)),
        frame=steady(frame=frame, detect=tuple(t - 1.0 for t in frame), classify=tuple(0.9 for _ in frame)),
    )
    fields: dict[str, Any] = {
        "cold_start_ms": 400.0,
        "peak_memory_bytes": 80_000_000,
        "proportional_memory_bytes": 70_000_000,
        "face": steady(face=tuple(0.5 for _ in frame)),
        "photos": (photo,),
    }
    return Round(**(fields | changes))


def case(*rounds: Round, engine: str = "litert", precision: str = "int8") -> Case:
    return Case(
        engine=engine,
        engine_version=f"{engine} 1.0",
        precision=precision,
        stages={
            "pnet": StageFile(precision="float32", bytes=30_000),
            "rnet": StageFile(precision="float32", bytes=400_000),
            "onet": StageFile(precision="float32", bytes=1_600_000),
            "classifier": StageFile(precision=precision, bytes=98_000),
        },
        summary=summarize_case(rounds, MACHINE_MEMORY_BYTES),
        rounds=rounds,
    )


def record(*cases: Case) -> BenchRecord:
    cases = cases or (case(one_round((10.0, 12.0)), one_round((10.0, 11.0), cold_start_ms=500.0)),)
    return BenchRecord(
        schema=SCHEMA,
        created_utc="2026-01-02T03:04:05+00:00",
        machine={
            "architecture": "aarch64",
            "cpu": "Some Board",
            "cores": 4,
            "memory_bytes": MACHINE_MEMORY_BYTES,
            "system": "Linux 6.6",
            "python": "3.11.2",
        },
        versions={"fer-edge": "0.1.0"},
        bundle=BundleIdentity(name="default", version="1", manifest_sha256="ab" * 32),
        photos=(PhotoIdentity(name="astronaut.png", bytes=791_555, sha256="cd" * 32),),
        settings=Settings(threads=1, runs=cases[0].rounds[0].face.runs, rounds=len(cases[0].rounds), min_face_px=40.0),
        cases=cases,
    )
