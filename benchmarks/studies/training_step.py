"""What does a training step cost in Keras, and what in the project's own steps on torch? ms per image, one table.

    KERAS_BACKEND=torch python benchmarks/studies/training_step.py [ARCH ...]

Each case takes steps of 128 random images on whatever torch finds (a GPU, else all cores); the cases take turns, and
the median of the turns is shown. KERAS_BACKEND may name another backend: then Keras alone is timed. Feeding images is
not in it; a record's `input_wait_share` says what that costs.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from fer_edge_train.backend import import_keras

N_TURNS, N_STEPS, BATCH = 5, 4, 128

keras = import_keras()

from fer_edge_train import zoo  # noqa: E402 - the backend is chosen first
from fer_edge_train.batches import Batch  # noqa: E402
from fer_edge_train.keras_trainer import KerasTrainer  # noqa: E402
from fer_edge_train.recipe import Recipe  # noqa: E402
from fer_edge_train.trainer import Trainer, TrainerSetup  # noqa: E402


def make(architecture: str, kind: str, compute_dtype: str) -> Trainer:
    shape = zoo.default_input_shape(architecture)
    recipe = Recipe(architecture=architecture, input_shape_hwc=shape, compute_dtype=compute_dtype)
    setup = TrainerSetup(model=zoo.build(architecture, shape, 7), recipe=recipe)
    if kind == "keras":
        return KerasTrainer(setup)
    from fer_edge_train.torch_backend import TorchTrainer

    return TorchTrainer(setup)


def turn(trainer: Trainer, batch: Batch) -> float:
    """Return ms per image over a few steps; `figures` waits for a GPU to end them."""
    started = time.perf_counter()
    for number in range(N_STEPS):
        trainer.step(batch, 1e-3, number)
    trainer.figures()
    return 1000.0 * (time.perf_counter() - started) / (N_STEPS * BATCH)


def main() -> None:
    backend = keras.backend.backend()
    cases = [("keras", "float32")]
    if backend == "torch":
        cases += [("torch", "float32"), ("torch", "bfloat16")]
    print("| network | steps | products | ms per image |\n| --- | --- | --- | --- |")
    for architecture in sys.argv[1:] or ["mini_xception"]:
        shape = zoo.default_input_shape(architecture)
        rng = np.random.default_rng(0)
        batch = Batch(
            rng.uniform(-1, 1, (BATCH, *shape)).astype(np.float32),
            np.eye(7, dtype=np.float32)[np.arange(BATCH) % 7],
            np.ones(BATCH, dtype=np.float32),
            np.arange(BATCH),
        )
        trainers = {case: make(architecture, *case) for case in cases}
        for trainer in trainers.values():
            turn(trainer, batch)
        times = {case: [] for case in cases}
        for _ in range(N_TURNS):
            for case, trainer in trainers.items():
                times[case].append(turn(trainer, batch))
        for (kind, dtype), values in times.items():
            name = f"Keras on {backend}" if kind == "keras" else "torch alone"
            print(f"| {architecture} | {name} | {dtype} | {np.median(values):.2f} |", flush=True)


if __name__ == "__main__":
    main()
