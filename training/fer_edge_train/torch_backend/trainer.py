"""Training steps in torch, on the processor or a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fer_edge_train.batches import Batch, Batches, BatchSource, Prefetched, training_coding
from fer_edge_train.datasets import FaceSet
from fer_edge_train.torch_backend.device_batches import DeviceBatches, DeviceFaces
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
        self._faces: DeviceFaces | None = None
        self._graph: nn.Module | None = None
        self._view: int | None = None
        self._answers: dict[int, _Answers] = {}
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

    def begin_epoch(self, seed: int, view: int | None) -> None:
        """Set the state of dropout, and which fixed view the epoch sees."""
        torch.manual_seed(seed)
        self._view = view

    def batches(self, faces: FaceSet, targets: Floats, weights: Floats, epoch: int) -> BatchSource:
        """Return batches made on the GPU, or on the processor by a thread beside the steps."""
        if self._device.type == "cpu":
            return Prefetched(Batches(faces, targets, weights, self._recipe, epoch))
        if self._faces is None or self._faces.source is not faces:
            self._faces = DeviceFaces(faces, targets, weights, self._device)
        return DeviceBatches(self._faces, self._recipe, epoch)

    def step(self, batch: Batch, rate: float, number: int) -> None:
        """Do one optimizer step; rate and number as in `Trainer`."""
        self._network.train()
        images = batch.images if isinstance(batch.images, Tensor) else self._tensor(batch.images)
        targets, weights = (self._placed_array(each) for each in (batch.targets, batch.weights))
        if self._teachers:
            targets = targets + self._recipe.teacher_share * self._teachers_probs(images, batch.members)
        with self._compute_dtype():
            logits = self._forward(images)
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

    def _forward(self, images: Tensor) -> Tensor:
        """Return the logits; on a GPU a whole batch's kernels, and their gradients', are launched as one graph."""
        if self._device.type != "cuda" or len(images) != self._recipe.batch_size:
            return self._logits(self._network, images)
        if self._graph is None:
            # Recording runs the network on the batch a few times, which must not move the averages of normalization.
            moments = [buffer.clone() for buffer in self._network.buffers()]
            self._graph = torch.cuda.make_graphed_callables(_Graphed(self._network), (images.clone(),))
            for buffer, before in zip(self._network.buffers(), moments, strict=True):
                buffer.copy_(before)
        return self._logits(self._graph, images)

    @staticmethod
    def _logits(network: nn.Module, images: Tensor) -> Tensor:
        logits: Tensor = network(images)
        return logits

    def _placed_array(self, values: Any) -> Tensor:
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(values)
        return tensor.to(self._device, non_blocking=True)

    def _tensor(self, encoded: Floats) -> Tensor:
        return TorchNetwork.images(encoded).to(self._device, non_blocking=True)

    def _compute_dtype(self) -> torch.autocast:
        enabled = self._recipe.compute_dtype == "bfloat16"
        # A graph cannot be recorded with casts that are remembered from one call to the next.
        cached = self._device.type != "cuda"
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=enabled, cache_enabled=cached)

    def _teachers_probs(self, images: Tensor, members: npt.NDArray[np.int64]) -> Tensor:
        answers = None if self._view is None else self._answers.setdefault(self._view, _Answers())
        known = answers.of(members) if answers is not None else None
        if known is not None:
            return known
        with torch.no_grad(), self._compute_dtype():
            probs = torch.stack([teacher(images).float().softmax(1) for teacher in self._teachers]).mean(0)
        if answers is not None:
            answers.keep(members, probs)
        return probs

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


class _Graphed(nn.Module):
    """The network as recorded in a graph; itself it stays as it was, for batches of other sizes."""

    def __init__(self, network: TorchNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self._network(images)
        return logits


class _Answers:
    """The teachers' mean probabilities for the training images as one view shows them, as far as they were asked."""

    def __init__(self) -> None:
        self._known = np.zeros(0, dtype=np.bool_)
        self._probs = torch.zeros(0)

    def of(self, members: npt.NDArray[np.int64]) -> Tensor | None:
        """Return (n, classes) for these images, or None where one of them is not known."""
        if members.max() >= len(self._known) or not self._known[members].all():
            return None
        return self._probs[torch.from_numpy(members).to(self._probs.device)]

    def keep(self, members: npt.NDArray[np.int64], probs: Tensor) -> None:
        """Remember answers (n, classes)."""
        n = int(members.max()) + 1
        if n > len(self._known):
            grown = probs.new_zeros((n, probs.shape[1]))
            grown[: len(self._known)] = self._probs.to(grown) if len(self._known) else 0.0
            self._probs = grown
            self._known = np.concatenate([self._known, np.zeros(n - len(self._known), np.bool_)])
        self._probs[torch.from_numpy(members).to(probs.device)] = probs
        self._known[members] = True


def _numpy(tensor: Tensor) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = tensor.detach().cpu().contiguous().numpy().copy()
    return values


def _fill(tensor: Tensor, values: npt.NDArray[Any]) -> None:
    if tuple(tensor.shape) != values.shape:
        raise ValueError(f"expected an array of {tuple(tensor.shape)}, found {values.shape}")
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(values))
