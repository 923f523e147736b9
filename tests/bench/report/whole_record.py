"""A record with something for every plot and every table."""

from typing import Any

from bench.bench_samples import bulk_run, case, one_round, point, record, stream_trial, sustained_run

from fer_edge_bench.record import BenchRecord, CaseFailure, Settings, TrainingCase
from fer_edge_bench.summary import CpuShare

ACCURACIES = {("litert", "int8"): 0.664, ("onnx", "float32"): 0.7}


def whole_record(name: str = "int8", **changes: Any) -> BenchRecord:
    """Cases litert and onnx; `name` stands wherever a file or program gives one, `changes` are fields of the record."""
    rounds = tuple(
        one_round(frame, n_pictures=2, bulk=bulk_run(10, 1.0, energy_j=2.0))
        for frame in ((10.0, 12.0), (10.0, 11.0), (10.5, 11.5))
    )
    trials = (stream_trial(1, 4.0, 6.0), stream_trial(2, 4.0, dropped=3))
    cases = (
        case(*rounds, precision=name, stream_trials=trials, sustained=sustained_run(5.0, 6.0, 7.0, began_s=4.0)),
        case(*rounds, engine="onnx", precision="float32", threads=2),
    )
    timeline = [
        point(1.0, case=0, memory_bytes=50_000_000, temperature_c=45.0, clock_mhz=1800.0, power_w=4.0),
        point(2.0, case=0, memory_bytes=70_000_000, temperature_c=60.0, clock_mhz=1500.0, throttled=name),
        point(3.0, temperature_c=61.0),
        point(4.005, case=0, memory_bytes=71_000_000),
        point(5.0, case=1, memory_bytes=90_000_000),
    ]
    training = TrainingCase(
        architecture="sepnet_tiny",
        backend="torch 2",
        accelerator=name,
        threads=2,
        batch_size=64,
        ms_per_image=(1.0,),
        peak_memory_bytes=1,
        process_cpu=CpuShare(user_percent=95.0, system_percent=5.0),
        machine_cpu=None,
    )
    fields: dict[str, Any] = {
        "settings": Settings(
            threads=(1, 2), runs=2, rounds=3, scenarios=("offline", "multi-stream", "sustained"), sustained_s=90.0
        ),
        "timeline": tuple(timeline),
        "training": (training,),
        "failures": (CaseFailure(case="openvino int8", step="single stream", error=name),),
    }
    return record(*cases, **(fields | changes))
