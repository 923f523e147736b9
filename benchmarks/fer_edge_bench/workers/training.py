"""Steps of training in a fresh process, with the trainer that `fer-edge train` takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fer_edge_bench.fresh_process import FreshProcess, answer_job, die_with_parent

if TYPE_CHECKING:
    from fer_edge_bench.record import TrainingCase

__all__ = ["TrainingJob", "start_training"]

_CLASSES = 7
# Of the random images and labels; their values change nothing in the time of a step.
_SEED = 2013


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What to train.

    Attributes:
        architecture: of the zoo.
        batch_size: images of a step.
        steps: timed ones.
        threads: that a step may use; None for all cores.
        cores: to bind the process to; empty for none.
    """

    architecture: str
    batch_size: int
    steps: int
    threads: int | None
    cores: tuple[int, ...]


def start_training(job: TrainingJob, threads: int) -> FreshProcess:
    """Start the process, with so many threads for its libraries; its answer is a TrainingCase."""
    return FreshProcess(__name__, job, threads=threads, what=f"training {job.architecture}")


def _train(job: TrainingJob) -> TrainingCase:
    if job.cores:
        import os

        # Of Keras' backends torch alone takes OMP_NUM_THREADS as its number of threads; this binds all.
        os.sched_setaffinity(0, job.cores)
    from fer_edge_train.backend import accelerator_name, fastest_compute_dtype, import_keras

    keras = import_keras()
    die_with_parent()
    import numpy as np

    from fer_edge_bench.measure import measure_steady
    from fer_edge_bench.procfs import peak_memory_bytes
    from fer_edge_bench.record import TrainingCase
    from fer_edge_bench.summary import CpuShare, cpu_share
    from fer_edge_train import zoo
    from fer_edge_train.batches import Batch, training_coding
    from fer_edge_train.keras_trainer import KerasTrainer
    from fer_edge_train.recipe import Recipe
    from fer_edge_train.trainer import TrainerSetup
    from fer_edge_train.training import make_trainer

    shape_hwc = zoo.default_input_shape(job.architecture)
    recipe = Recipe(
        architecture=job.architecture,
        input_shape_hwc=shape_hwc,
        batch_size=job.batch_size,
        compute_dtype=fastest_compute_dtype(),
    )
    keras.utils.set_random_seed(recipe.seed)
    trainer = make_trainer(TrainerSetup(model=zoo.build(job.architecture, shape_hwc, _CLASSES), recipe=recipe))
    rng = np.random.default_rng(_SEED)
    batch = Batch(
        images=training_coding().encode(rng.integers(0, 256, (job.batch_size, *shape_hwc), dtype=np.uint8)),
        targets=np.eye(_CLASSES, dtype=np.float32)[rng.integers(0, _CLASSES, job.batch_size)],
        weights=np.ones(job.batch_size, dtype=np.float32),
        members=np.arange(job.batch_size),
    )
    clock, n_steps = time.perf_counter, 0

    def step(_: int) -> dict[str, float]:
        nonlocal n_steps
        started = clock()
        trainer.step(batch, recipe.peak_rate, n_steps)
        # A GPU is still at work when `step` returns; reading the sums waits for it.
        trainer.figures()
        n_steps += 1
        return {"step": 1000 * (clock() - started)}

    measured = measure_steady(step, 1, job.steps)
    on_keras = isinstance(trainer, KerasTrainer)
    return TrainingCase(
        architecture=job.architecture,
        backend=_backend(keras, recipe.compute_dtype, on_keras=on_keras),
        accelerator=accelerator_name(),
        threads=job.threads,
        batch_size=job.batch_size,
        ms_per_image=tuple(round(step_ms / job.batch_size, 6) for step_ms in measured.samples_ms["step"]),
        peak_memory_bytes=peak_memory_bytes(),
        process_cpu=cpu_share([measured], [measured.process_cpu]) or CpuShare(user_percent=0, system_percent=0),
        machine_cpu=cpu_share([measured], [measured.machine_cpu]),
    )


def _backend(keras: object, compute_dtype: str, *, on_keras: bool) -> str:
    """Return who computes the steps, and in what where that is not float32, e.g. "torch 2.13.0, bfloat16"."""
    from fer_edge.machine import package_versions

    name = str(keras.backend.backend())  # type: ignore[attr-defined] # a module
    version = package_versions((name,)).get(name, "")
    computes = f"{name} {version}".rstrip()
    if on_keras:
        computes = f"keras {keras.__version__} on {computes}"  # type: ignore[attr-defined] # a module
    return computes if compute_dtype == "float32" else f"{computes}, {compute_dtype}"


if __name__ == "__main__":
    answer_job(TrainingJob, _train)
