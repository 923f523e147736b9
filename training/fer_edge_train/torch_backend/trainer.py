"""Training steps in torch, on the processor or a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_edge_train.batches import Batch, training_coding
from fer_edge_train.torch_backend.network import TorchNetwork
from fer_edge_train.trainer import FOCAL_FLOOR, Arrays, Floats, StepFigures, TrainerSetup, averaging_share

__all__ = ["TorchTrainer"]

_EVALUATION_BATCH = 256


class TorchTrainer:
    """Trains a translated Keras model; see `Trainer` for the methods."""

    def __init__(self, setup: TrainerSetup) -> None:
        """Translate the model and its teachers.

        Raises:
            UntranslatableError: a layer has no equivalent; Keras itself can train such a model.
        """
        self._recipe = setup.recipe
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = setup.model
        self._network = self._placed(setup.model)
        self._teachers = [self._placed(teacher).eval() for teacher in setup.teachers]
        self._averaged = self._placed(setup.model).eval() if setup.recipe.average_decay else self._network
        self._kernels = list(self._network.kernels())
        self._optimizer = self._make_optimizer()
        # Floating tensors alone: what is averaged, in the same order in both networks.
        self._pairs = (
            [list(network.state_dict(keep_vars=True).values()) for network in (self._averaged, self._network)]
            if setup.recipe.average_decay
            else None
        )
        self._clear_sums()

    def _placed(self, model: Any) -> TorchNetwork:
        network: TorchNetwork = TorchNetwork(model).to(self._device)
        return network

    def _make_optimizer(self) -> torch.optim.Optimizer:
        trainable = [*self._kernels, *self._network.vectors()]
        if self._recipe.optimizer == "adamw":
            # Decay is applied in `step`, in one way for both optimizers; the epsilon is Keras'.
            return torch.optim.AdamW(trainable, lr=self._recipe.peak_rate, weight_decay=0.0, eps=1e-7)
        return torch.optim.SGD(trainable, lr=self._recipe.peak_rate, momentum=self._recipe.momentum, nesterov=True)

    def begin_epoch(self, seed: int) -> None:
        """Set the state of dropout."""
        torch.manual_seed(seed)

    def step(self, batch: Batch, rate: float, number: int) -> None:
        """Do one optimizer step; rate and number as in `Trainer`."""
        self._network.train()
        images = self._tensor(batch.images)
        targets = torch.from_numpy(batch.targets).to(self._device, non_blocking=True)
        if self._teachers:
            targets = targets + self._recipe.teacher_share * self._teachers_probs(images)
        with self._compute_dtype():
            logits = self._network(images)
        weights = torch.from_numpy(batch.weights).to(self._device, non_blocking=True)
        loss = self._loss(logits.float(), targets, weights)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._recipe.weight_decay and self._kernels:
            with torch.no_grad():
                torch._foreach_mul_(self._kernels, 1.0 - rate * self._recipe.weight_decay)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._average(number)
        with torch.no_grad():
            self._loss_sum += loss.detach() * len(images)
            self._right += (logits.argmax(1) == targets.argmax(1)).sum()
        self._n_images += len(images)

    def _tensor(self, encoded: Floats) -> Tensor:
        return TorchNetwork.images(encoded).to(self._device, non_blocking=True)

    def _compute_dtype(self) -> torch.autocast:
        enabled = self._recipe.compute_dtype == "bfloat16"
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=enabled)

    def _teachers_probs(self, images: Tensor) -> Tensor:
        with torch.no_grad(), self._compute_dtype():
            probs = [teacher(images).float().softmax(1) for teacher in self._teachers]
        return torch.stack(probs).mean(0)

    def _loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        log_probs = logits.log_softmax(1)
        parts = targets * log_probs
        if self._recipe.focal_gamma:
            parts = parts * (1.0 - log_probs.exp()).clamp_min(FOCAL_FLOOR) ** self._recipe.focal_gamma
        return -(weights * parts.sum(1)).mean()

    def _average(self, number: int) -> None:
        if self._pairs is None:
            return
        averaged, trained = self._pairs
        with torch.no_grad():
            torch._foreach_lerp_(averaged, trained, averaging_share(self._recipe.average_decay, number))

    def _clear_sums(self) -> None:
        # Sums stay on the device: reading them at each step would make it wait.
        self._loss_sum = torch.zeros((), device=self._device)
        self._right = torch.zeros((), device=self._device, dtype=torch.int64)
        self._n_images = 0

    def figures(self) -> StepFigures:
        """Return the means over the steps since the last call."""
        n = max(self._n_images, 1)
        found = StepFigures(float(self._loss_sum) / n, float(self._right) / n)
        self._clear_sums()
        return found

    def kept_weights(self) -> list[Floats]:
        """Return the kept weights in Keras' order."""
        self._averaged.copy_to(self._model)
        weights: list[Floats] = self._model.get_weights()
        return weights

    def logits(self, images: npt.NDArray[np.uint8]) -> Floats:
        """Return float32 logits (n, classes) of the kept weights for uint8 (n, h, w, c)."""
        self._averaged.eval()
        coding = training_coding()
        with torch.no_grad():
            parts = [
                self._averaged(self._tensor(coding.encode(images[i : i + _EVALUATION_BATCH]))).float().cpu().numpy()
                for i in range(0, len(images), _EVALUATION_BATCH)
            ]
        return np.concatenate(parts)

    def state(self) -> Arrays:
        """Return weights, averages and optimizer."""
        arrays = {f"network/{name}": _numpy(value) for name, value in self._network.state_dict().items()}
        if self._averaged is not self._network:
            arrays |= {f"averaged/{name}": _numpy(value) for name, value in self._averaged.state_dict().items()}
        for position, parameter in enumerate(self._parameters()):
            for name, value in self._optimizer.state[parameter].items():
                if value is not None:
                    arrays[f"optimizer/{position}/{name}"] = _numpy(value)
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Take back a state; KeyError or ValueError where it is of another network."""
        networks = {"network": self._network} | (
            {"averaged": self._averaged} if self._averaged is not self._network else {}
        )
        for prefix, network in networks.items():
            for name, value in network.state_dict(keep_vars=True).items():
                _fill(value, arrays[f"{prefix}/{name}"])
        for position, parameter in enumerate(self._parameters()):
            before = f"optimizer/{position}/"
            for name in [name for name in arrays if name.startswith(before)]:
                kind = name.removeprefix(before)
                value = arrays[name]
                # A step count stays on the processor; what belongs to a weight lies in memory as the weight does.
                tensor = torch.tensor(value) if value.ndim == 0 else torch.empty_like(parameter).detach()
                if value.ndim:
                    _fill(tensor, value)
                self._optimizer.state[parameter][kind] = tensor

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]


def _numpy(tensor: Tensor) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = tensor.detach().cpu().contiguous().numpy().copy()
    return values


def _fill(tensor: Tensor, values: npt.NDArray[Any]) -> None:
    if tuple(tensor.shape) != values.shape:
        raise ValueError(f"expected an array of {tuple(tensor.shape)}, found {values.shape}")
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(values))
