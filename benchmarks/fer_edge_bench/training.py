"""What a step of training costs on this machine, each network in a fresh process."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence

from fer_edge.errors import MissingExtraError, UsageError
from fer_edge.machine import available_cores
from fer_edge_bench.cores import choose_cores
from fer_edge_bench.record import TrainingCase
from fer_edge_bench.workers.training import TrainingJob, start_training
from fer_edge_devices.system_tree import SystemTree

__all__ = ["check_architectures", "measure_training"]


def measure_training(
    architectures: Sequence[str],
    *,
    batch_size: int = 64,
    steps: int = 20,
    threads: int | None = None,
    progress: Callable[[int, int, str], None],
) -> tuple[TrainingCase, ...]:
    """Train networks of the zoo for some steps on random images, with the trainer that `fer-edge train` takes.

    A step is the network's alone: its images are in memory. The process is bound to as many cores as `threads`.

    Args:
        architectures: names of the zoo; each gets its default input.
        batch_size: images of a step; 64 is what the papers train with.
        steps: timed ones, after a warm-up.
        threads: that a step may use on the processor; None for all cores.
        progress: told how many networks of how many are done, and which is being measured.

    Raises:
        MissingExtraError: Keras or its backend is not installed.
        UsageError: no network has one of the names, or a number is out of its range.
        FerEdgeError: a process ended without an answer, e.g. for lack of memory.
    """
    from fer_edge_train.recipe import Recipe

    for name, value in (("steps", steps), ("threads", 1 if threads is None else threads)):
        if value < 1:
            raise UsageError(f"{name}: expected 1 or more, found {value}")
    check_architectures(architectures)
    for architecture in architectures:
        # The recipe knows the bounds of a batch; all that is wrong is told before anything is measured.
        Recipe(architecture=architecture, batch_size=batch_size)
    cores = () if threads is None else choose_cores(sorted(os.sched_getaffinity(0)), threads, SystemTree())
    cases: list[TrainingCase] = []
    for number, architecture in enumerate(architectures):
        progress(number, len(architectures), f"training {architecture}")
        job = TrainingJob(
            architecture=architecture, batch_size=batch_size, steps=steps, threads=threads, cores=tuple(cores)
        )
        with start_training(job, threads or available_cores()) as process:
            cases.append(process.answer(TrainingCase))
    return tuple(cases)


def check_architectures(architectures: Sequence[str]) -> None:
    """Check that networks can be built, without importing Keras; none need nothing.

    Raises:
        MissingExtraError: Keras is not installed.
        UsageError: no network has one of the names.
    """
    if not architectures:
        return
    from fer_edge_train import zoo

    for architecture in architectures:
        zoo.check_name(architecture)
    if importlib.util.find_spec("keras") is None:
        raise MissingExtraError(
            'the zoo\'s networks need Keras, found none; pip install "fer-edge[train]" and torch, tensorflow or jax'
        )
