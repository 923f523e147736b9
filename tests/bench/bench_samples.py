"""A record made by hand, small enough to check its figures on paper.

Where nothing else is asked for, the parts of a frame are fixed shares of it, three hundredths are the pipeline's own, a
picture takes 5 ms to decode and the classifier alone 0.5 ms.
"""

from collections.abc import Mapping
from typing import Any

from fer_edge_bench.load import LoadIdentity
from fer_edge_bench.record import (
    SCHEMA,
    BenchRecord,
    BundleIdentity,
    Case,
    Circumstances,
    HarnessCost,
    MachineIdentity,
    Settings,
    StageFile,
    TimelinePoint,
)
from fer_edge_bench.samples import BulkRun, CpuSeconds, FrameWork, Round, Steady, StreamTrial, SustainedRun
from fer_edge_bench.summary import summarize_case
from fer_edge_devices.sensors import SensorReading

MACHINE_MEMORY_BYTES = 4 * 10**9
DECODE_MS = 5.0
SHARES = {
    "pyramid": 0.1,
    "pnet": 0.4,
    "proposals": 0.05,
    "rnet": 0.2,
    "onet": 0.1,
    "crop": 0.02,
    "classify": 0.1,
    "engine": 0.6,
}


def steady(*, wall_s: float = 0.1, inputs: tuple[int, ...] | None = None, **series: Any) -> Steady:
    """A field of Steady by its name; every other name is a series."""
    fields: dict[str, Any] = {
        "warm_up_runs": 10,
        "settled": True,
        "began_s": 1.0,
        "ended_s": 1.0 + wall_s,
        # Of 0.1 s: 50 % and 10 % of one core, of the whole machine 60 % and 20 %.
        "process_cpu": CpuSeconds(user_s=0.05, system_s=0.01),
        "machine_cpu": CpuSeconds(user_s=0.06, system_s=0.02),
        "energy_j": None,
    }
    fields |= {name: series.pop(name) for name in tuple(series) if name in fields}
    length = len(next(iter(series.values())))
    return Steady(**fields, inputs=(0,) * length if inputs is None else inputs, samples_ms=series)


def frame_series(frame: tuple[float, ...], decode_ms: float = DECODE_MS) -> dict[str, tuple[float, ...]]:
    parts = {name: tuple(round(share * t, 4) for t in frame) for name, share in SHARES.items()}
    return {"decode": (decode_ms,) * len(frame), "frame": frame, **parts}


def one_round(frame: tuple[float, ...], *, n_pictures: int = 1, **changes: Any) -> Round:
    """A process whose pixels to faces took these ms, the pictures in turn; `changes` are fields of Round."""
    inputs = tuple(i % n_pictures for i in range(len(frame)))
    fields: dict[str, Any] = {
        "cold_start_ms": 400.0,
        "peak_memory_bytes": 80_000_000,
        "proportional_memory_bytes": 70_000_000,
        "loop_overhead_us": 1.0,
        "work": (FrameWork(n_faces=1, pnet_sizes_wh=((330, 196),), rnet_crops=50, onet_crops=5),) * n_pictures,
        "frame": steady(inputs=inputs, **frame_series(frame)),
        "face": steady(face=(0.5,) * len(frame), engine=(0.45,) * len(frame)),
        "bulk": None,
    }
    return Round(**(fields | changes))


def bulk_run(photos: int, wall_s: float, energy_j: float | None = None) -> BulkRun:
    return BulkRun(photos=photos, wall_s=wall_s, process_cpu=CpuSeconds(user_s=wall_s, system_s=0.0), energy_j=energy_j)


def stream_trial(
    n_streams: int, *latencies_ms: float, dropped: int = 0, available_bytes: int | None = None
) -> StreamTrial:
    """Cameras of 15 frames a second, which took these latencies in turns."""
    return StreamTrial(
        n_streams=n_streams,
        period_ms=1000 / 15,
        due=dropped + len(latencies_ms),
        dropped=dropped,
        latencies_ms=tuple(latencies_ms[number::n_streams] for number in range(n_streams)),
        memory_bytes=n_streams * 60_000_000,
        available_bytes=available_bytes,
    )


def sustained_run(*frames_ms: float, began_s: float = 2.0) -> SustainedRun:
    """Frames one after the other, no time between them."""
    ended_ms = tuple(round(sum(frames_ms[: i + 1]), 3) for i in range(len(frames_ms)))
    return SustainedRun(began_s=began_s, ended_ms=ended_ms, frames_ms=frames_ms)


def case(*rounds: Round, engine: str = "litert", precision: str = "int8", **changes: Any) -> Case:
    """A case of these processes; `changes` are fields of Case."""
    fields: dict[str, Any] = {
        "engine": engine,
        "engine_version": f"{engine} 1.0",
        "precision": precision,
        "threads": 1,
        "cores": (3,),
        "stages": {
            "pnet": StageFile(precision="float32", bytes=30_000, parameters=6_599, multiply_adds=None),
            "rnet": StageFile(precision="float32", bytes=400_000, parameters=100_049, multiply_adds=None),
            "onet": StageFile(precision="float32", bytes=1_600_000, parameters=388_783, multiply_adds=None),
            "classifier": StageFile(precision=precision, bytes=98_000, parameters=56_551, multiply_adds=11_337_276),
        },
        "rounds": rounds,
        "stream_trials": (),
        "sustained": None,
    }
    fields |= changes
    fields["summary"] = summarize_case(rounds, fields["stream_trials"], fields["sustained"], MACHINE_MEMORY_BYTES)
    return Case(**fields)


def reading(**changes: Any) -> SensorReading:
    """What the sensors of a board told; `changes` are fields of SensorReading."""
    fields: dict[str, Any] = {
        "temperatures_c": {"cpu-thermal": 45.0},
        "hottest_c": 45.0,
        "clocks_mhz": {"cpu0": 1800.0},
        "max_clock_mhz": 1800.0,
        "governors": {"policy0": "performance"},
        "throttling": None,
        "power_w": {},
        "energy_j": {},
        "energy_range_j": {},
    }
    return SensorReading(**(fields | changes))


# A board without sensors, as a virtual machine is.
NO_SENSORS: Mapping[str, Any] = {
    "temperatures_c": {},
    "hottest_c": None,
    "clocks_mhz": {},
    "max_clock_mhz": None,
    "governors": {},
}


def circumstances(**changes: Any) -> Circumstances:
    """A quiet machine; `changes` are fields of Circumstances."""
    fields: dict[str, Any] = {
        "before": reading(),
        "after": reading(hottest_c=52.5, temperatures_c={"cpu-thermal": 52.5}),
        "throttled": None,
        "untold": None,
        "load_average": 0.25,
        "busy_percent": 1.5,
        "denied": (),
    }
    return Circumstances(**(fields | changes))


def point(t_s: float, **changes: Any) -> TimelinePoint:
    """A moment of the timeline; `changes` are fields of TimelinePoint."""
    fields: dict[str, Any] = {
        "case": None,
        "step": None,
        "memory_bytes": None,
        "temperature_c": None,
        "clock_mhz": None,
        "power_w": None,
        "throttled": None,
    }
    return TimelinePoint(t_s=t_s, **(fields | changes))


def machine(**changes: Any) -> MachineIdentity:
    """A board of 4 GB; `changes` are fields of MachineIdentity."""
    fields: dict[str, Any] = {
        "board": "some-board",
        "model": "Some Board",
        "architecture": "aarch64",
        "cpu": "Cortex-A72",
        "cores": 4,
        "memory_bytes": MACHINE_MEMORY_BYTES,
        "system": "Linux 6.6",
        "python": "3.11.2",
        "int8_features": ("asimddp",),
    }
    return MachineIdentity(**(fields | changes))


def record(*cases: Case, **changes: Any) -> BenchRecord:
    """A record of cases measured alike, of one where none is given; `changes` are fields of BenchRecord."""
    cases = cases or (case(one_round((10.0, 12.0)), one_round((10.0, 11.0), cold_start_ms=500.0)),)
    first = cases[0].rounds[0]
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "created_utc": "2026-01-02T03:04:05+00:00",
        "partial": False,
        "machine": machine(),
        "versions": {"fer-edge": "0.1.0"},
        "bundle": BundleIdentity(name="default", version="1", manifest_sha256="ab" * 32, classifier="sepnet_tiny"),
        "load": tuple(
            LoadIdentity(name=f"view-{number}.jpg", bytes=60_000, sha256="cd" * 32, size_wh=(640, 480))
            for number in range(1, len(first.work) + 1)
        ),
        "settings": Settings(
            threads=tuple(dict.fromkeys(item.threads for item in cases)),
            runs=first.face.runs,
            rounds=len(cases[0].rounds),
            min_face_px=40.0,
        ),
        "circumstances": circumstances(),
        "harness": HarnessCost(watching_percent=0.2, timing_percent=0.01),
        "cases": cases,
        "failures": (),
        "timeline": (),
        "training": (),
    }
    return BenchRecord(**(fields | changes))
