"""The figures that a claim can name, and where each is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fer_edge_bench.claims_networks import NetworkFigures
from fer_edge_bench.record import Case, TrainingCase
from fer_edge_bench.statistics import percentile

__all__ = ["BENCH_FIGURES", "NETWORK_FIGURES", "TRAINING_FIGURES"]

BENCH_FIGURES: Mapping[str, Callable[[Case], float | None]] = {
    "classifier_bytes": lambda case: case.stages["classifier"].bytes,
    "memory_percent_of_16_gb": lambda case: case.summary.memory_percent_of_16_gb,
    "peak_memory_bytes": lambda case: case.summary.peak_memory_bytes,
    "process_cpu_percent": lambda case: case.summary.process_cpu.percent,
    "machine_cpu_user_percent": lambda case: (
        None if case.summary.machine_cpu is None else case.summary.machine_cpu.user_percent
    ),
    "machine_cpu_system_percent": lambda case: (
        None if case.summary.machine_cpu is None else case.summary.machine_cpu.system_percent
    ),
}

TRAINING_FIGURES: Mapping[str, Callable[[TrainingCase], float | None]] = {
    "ms_per_image": lambda case: percentile(case.ms_per_image, 50),
    "peak_memory_bytes": lambda case: case.peak_memory_bytes,
    "process_cpu_percent": lambda case: case.process_cpu.percent,
    "machine_cpu_user_percent": lambda case: None if case.machine_cpu is None else case.machine_cpu.user_percent,
    "machine_cpu_system_percent": lambda case: None if case.machine_cpu is None else case.machine_cpu.system_percent,
}


def _fully_connected(position: int) -> Callable[[NetworkFigures], float | None]:
    def count(figures: NetworkFigures) -> float | None:
        layers = figures.fully_connected_parameters
        return layers[position] if position < len(layers) else None

    return count


NETWORK_FIGURES: Mapping[str, Callable[[NetworkFigures], float | None]] = {
    "parameters": lambda figures: figures.parameters,
    "trainable_parameters": lambda figures: figures.trainable_parameters,
    "convolutions": lambda figures: figures.convolutions,
    "poolings": lambda figures: figures.poolings,
    "fully_connected": lambda figures: len(figures.fully_connected_parameters),
    "body_parameters": lambda figures: figures.body_parameters,
    **{f"fully_connected_{i + 1}_parameters": _fully_connected(i) for i in range(3)},
}
