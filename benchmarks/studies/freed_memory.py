"""What does a training step on a processor gain where freed memory stays with the process? A ratio, one table.

    python benchmarks/studies/freed_memory.py [ARCH ...]

Each turn is two processes one after the other: one as `fer-edge train` runs, one that gives memory back as the C
library does by itself. A process takes steps of 64 random images on torch and tells the median of their times. The
ratio is within a turn; shown are its median and, in brackets, the least and greatest of the turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import numpy as np

N_TURNS, N_STEPS, BATCH = 7, 12, 64


def measure(architecture: str, kept: bool) -> None:
    """Print ms per image of this process, and the bytes it held at most."""
    import resource

    from fer_edge_train.backend import import_keras

    import_keras()
    from fer_edge_train import zoo
    from fer_edge_train.batches import Batch
    from fer_edge_train.recipe import Recipe
    from fer_edge_train.torch_backend import trainer as torch_trainer
    from fer_edge_train.trainer import TrainerSetup

    if not kept:
        torch_trainer.keep_freed_memory = lambda: False
    shape = zoo.default_input_shape(architecture)
    recipe = Recipe(architecture=architecture, input_shape_hwc=shape)
    trainer = torch_trainer.TorchTrainer(TrainerSetup(model=zoo.build(architecture, shape, 7), recipe=recipe))
    rng = np.random.default_rng(0)
    batch = Batch(
        rng.uniform(-1, 1, (BATCH, *shape)).astype(np.float32),
        np.eye(7, dtype=np.float32)[np.arange(BATCH) % 7],
        np.ones(BATCH, dtype=np.float32),
        np.arange(BATCH),
    )
    times = []
    for number in range(N_STEPS + 2):
        started = time.perf_counter()
        trainer.step(batch, 1e-3, number)
        trainer.figures()
        times.append(time.perf_counter() - started)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(1000.0 * statistics.median(times[2:]) / BATCH, peak_bytes)


def ask(architecture: str, kind: str) -> tuple[float, float]:
    command = [sys.executable, __file__, "--measure", architecture, kind]
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    ms, peak_bytes = answer.stdout.split()
    return float(ms), float(peak_bytes)


def main() -> None:
    print("| network | returned, ms per image | kept, ms per image | kept / returned | peak memory of each, MB |")
    print("| --- | --- | --- | --- | --- |")
    for architecture in sys.argv[1:] or ["sepnet_tiny"]:
        turns = [[ask(architecture, kind) for kind in ("returned", "kept")] for _ in range(N_TURNS)]
        returned, kept = (np.asarray([turn[i] for turn in turns]) for i in (0, 1))
        ratios = kept[:, 0] / returned[:, 0]
        ms, megabytes = (np.median([returned[:, i], kept[:, i]], axis=1) for i in (0, 1))
        print(
            f"| {architecture} | {ms[0]:.2f} | {ms[1]:.2f} | {np.median(ratios):.2f} ({ratios.min():.2f} to "
            f"{ratios.max():.2f}) | {megabytes[0] / 1e6:.0f}, {megabytes[1] / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], kept=sys.argv[3] == "kept")
    else:
        main()
