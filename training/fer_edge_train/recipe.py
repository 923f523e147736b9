"""A training recipe as plain data: what makes the same run again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fer_edge.errors import UsageError
from fer_edge_train.augmentation import Augmentation

__all__ = ["OPTIMIZERS", "PIXEL_MEAN", "PIXEL_STD", "Recipe"]

OPTIMIZERS = ("sgd", "adamw")
PIXEL_MEAN = 128.0
PIXEL_STD = 128.0  # a power of two: the int8 and uint8 inputs then hold the pixels exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        architecture: a name of the zoo.
        input_shape_hwc: height, width, channels.
        epochs: passes over the training images.
        batch_size: images per step.
        optimizer: one of OPTIMIZERS.
        peak_rate: largest learning rate of the one-cycle schedule.
        momentum: of SGD with Nesterov's correction; AdamW keeps its own.
        weight_decay: decoupled, relative to the learning rate; 0 for none.
        label_smoothing: share of the uniform distribution in the targets.
        vote_share: share of E[label | FER+ votes] in the targets; 0 without votes.
        validation_fraction: part of each class of the training images that is held out to watch the run.
        seed: of the initial weights, the split, the order and the augmentation.
        start_from_sha256: of the model file whose weights are the initial ones; None for random ones.
        augmentation: random changes of the training faces.
    """

    architecture: str
    input_shape_hwc: tuple[int, int, int] = (48, 48, 1)
    epochs: int = 60
    batch_size: int = 128
    optimizer: str = "sgd"
    peak_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    vote_share: float = 0.0
    validation_fraction: float = 0.03
    seed: int = 2013
    start_from_sha256: str | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, found {self.optimizer!r}")
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (1, 100_000),
            "batch_size": (1, 65_536),
            "peak_rate": (1e-8, 100.0),
            "momentum": (0.0, 0.9999),
            "weight_decay": (0.0, 1.0),
            "label_smoothing": (0.0, 0.99),
            "vote_share": (0.0, 1.0),
            "validation_fraction": (0.0, 0.5),
            "seed": (0, 2**32 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name}: expected {low:.10g} to {high:.10g}, found {value:.10g}")

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON types."""
        data = asdict(self)
        data["input_shape_hwc"] = list(self.input_shape_hwc)
        data["augmentation"]["scale_range"] = list(self.augmentation.scale_range)
        data["augmentation"]["contrast_range"] = list(self.augmentation.contrast_range)
        return data

    def differences(self, other_json: dict[str, Any]) -> list[str]:
        """Name the fields in which a recipe's JSON differs from this one."""
        mine = self.to_json()
        names = [item.name for item in fields(self)]
        return [name for name in names if mine[name] != other_json.get(name)]
