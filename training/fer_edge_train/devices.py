"""Several devices for one training run: each holds the weights and computes its part of every batch.

Keras 3.15 does this on JAX alone (`keras.distribution`): on TensorFlow its functions place nothing, on torch there are
none.
"""

from __future__ import annotations

from typing import Any

import keras

from fer_edge.errors import UsageError

__all__ = ["clear_models", "n_devices", "use_devices"]


class _EvenParts(keras.distribution.DataParallel):  # type: ignore[misc] # keras is not read by mypy
    """Keras' data parallelism, for batches of any size.

    An epoch's last batch and a last group of images to answer may not divide evenly. Every device then computes all of
    it, to the same figures.
    """

    def get_data_layout(self, data_shape: tuple[int, ...]) -> Any:
        """Return how one array of a batch lies on the devices: divided along its first axis where that is even."""
        if data_shape[0] % self.num_model_replicas:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


def use_devices(asked: int | None, batch_size: int) -> None:
    """Let all models made from now on be computed by several devices.

    Args:
        asked: how many, at least 1; None for all that there are. One device needs nothing and works on every backend.
        batch_size: images of a step, over all devices.

    Raises:
        UsageError: the backend computes on one device, there are fewer, or the batches cannot be divided among them.
    """
    if asked == 1:
        return
    named = "all" if asked is None else str(asked)
    backend = keras.backend.backend()
    if backend != "jax":
        raise UsageError(
            f"--devices {named}: expected 1 on {backend}, which trains on one device here; set KERAS_BACKEND=jax "
            "(pip install jax, for GPUs with its CUDA extra), or leave --devices away"
        )
    found = keras.distribution.list_devices()
    n = len(found) if asked is None else asked
    if n > len(found):
        raise UsageError(f"--devices {named}: expected at most {len(found)} on this machine ({', '.join(found)})")
    if batch_size % n:
        raise UsageError(
            f"--batch-size {batch_size} on {n} devices: expected a multiple of {n}, e.g. {-(-batch_size // n) * n}"
        )
    if n > 1:
        keras.distribution.set_distribution(_EvenParts(devices=found[:n]))


def n_devices() -> int:
    """Return how many devices compute a step."""
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.num_model_replicas)


def clear_models() -> None:
    """Free what Keras keeps of earlier models, so that the next one's layers are numbered from the first again."""
    distribution = keras.distribution.distribution()
    keras.utils.clear_session()
    keras.distribution.set_distribution(distribution)
