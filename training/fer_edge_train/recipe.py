"""A training recipe as plain data: what makes the same run again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fer_edge.errors import UsageError
from fer_edge_train.augmentation import AUGMENTATIONS, Augmentation
from fer_edge_train.schedules import NEED_HELD_OUT, SCHEDULES

__all__ = ["COMPUTE_DTYPES", "MOST_FOLDS", "OPTIMIZERS", "PIXEL_MEAN", "PIXEL_STD", "Recipe"]

OPTIMIZERS = ("sgd", "adamw")
COMPUTE_DTYPES = ("float32", "bfloat16")
MOST_FOLDS = 100
PIXEL_MEAN = 128.0
PIXEL_STD = 128.0  # a power of two: the int8 and uint8 inputs then hold the pixels exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        architecture: a name of the zoo.
        input_shape_hwc: height, width, channels.
        epochs: passes over the training images, at most (see patience); 0 keeps the initial weights.
        batch_size: images per step.
        optimizer: one of OPTIMIZERS.
        schedule: one of SCHEDULES: how the learning rate runs below its peak.
        peak_rate: largest learning rate.
        momentum: of SGD with Nesterov's correction; AdamW keeps its own.
        weight_decay: decoupled, relative to the learning rate, of kernels alone; 0 for none.
        average_decay: each step moves the kept weights by 1 - this towards the trained ones; 0 keeps the trained ones.
        patience: stop after this many epochs without a smaller held-out loss and keep the best one's weights; 0 never.
        compute_dtype: "float32", or "bfloat16" for the products (weights and sums stay float32).
        label_smoothing: share of the uniform distribution in the targets.
        vote_share: share of E[label | FER+ votes] in the targets; 0 without votes.
        teacher_share: share of the teachers' mean probabilities in the targets; 0 without teachers.
        views: so many fixed augmentations of the training images, which the epochs see in turn, so that
            teachers' answers can be remembered; 0 augments anew in every epoch.
        class_weight_power: an image counts (1 / images of its class) to this power; 0 all alike, 1 balanced.
        focal_gamma: a target's loss counts (1 - probability) to this power (Lin et al., "Focal Loss", 2017); 0 none.
        recall_floors: (class, recall) pairs that the decision is shifted for after training, see `recall_floors`.
        validation_fraction: part of each class of the training images that is held out to watch the run.
        test_share: part of a data set without a published division that is measured on; 0, for folds alone, leaves all
            of it to the folds.
        keep_test_copies: train also on pictures that a test part holds, as FER-2013 is published; the other pictures of
            a test part are then measured as a part of their own.
        by_subject: nobody is in two parts; else parts are drawn from each class at random.
        fold: (i, k): train without the i-th of k folds of the training images and measure on it; None for no folds.
        seed: of the initial weights, the order and the augmentation.
        split_seed: of the parts and folds, so that runs of several seeds hold out the same images.
        start_from_sha256: of the model file whose weights are the initial ones; None for random ones.
        pretrained: "imagenet", or the SHA-256 of the file of ImageNet weights; None for none.
        teacher_sha256s: of the teachers' model files.
        augmentation: random changes of the training faces.
    """

    architecture: str
    input_shape_hwc: tuple[int, int, int] = (48, 48, 1)
    epochs: int = 60
    batch_size: int = 128
    optimizer: str = "sgd"
    schedule: str = "one-cycle"
    peak_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-3
    average_decay: float = 0.999
    patience: int = 0
    compute_dtype: str = "float32"
    label_smoothing: float = 0.05
    vote_share: float = 0.0
    teacher_share: float = 0.0
    views: int = 0
    class_weight_power: float = 0.0
    focal_gamma: float = 0.0
    recall_floors: tuple[tuple[str, float], ...] = ()
    validation_fraction: float = 0.03
    test_share: float = 0.2
    keep_test_copies: bool = False
    by_subject: bool = False
    fold: tuple[int, int] | None = None
    seed: int = 2013
    split_seed: int = 2013
    start_from_sha256: str | None = None
    pretrained: str | None = None
    teacher_sha256s: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=lambda: AUGMENTATIONS["light"])

    def __post_init__(self) -> None:
        choices: dict[str, tuple[str, ...]] = {
            "optimizer": OPTIMIZERS,
            "schedule": tuple(SCHEDULES),
            "compute_dtype": COMPUTE_DTYPES,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name}: expected one of {', '.join(known)}, found {getattr(self, name)!r}")
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (0, 100_000),
            "batch_size": (2, 65_536),
            "peak_rate": (1e-8, 100.0),
            "momentum": (0.0, 0.9999),
            "weight_decay": (0.0, 1.0),
            "average_decay": (0.0, 0.99999),
            "patience": (0, 100_000),
            "label_smoothing": (0.0, 0.99),
            "vote_share": (0.0, 1.0),
            "teacher_share": (0.0, 1.0),
            "class_weight_power": (0.0, 1.0),
            "focal_gamma": (0.0, 10.0),
            "validation_fraction": (0.0, 0.5),
            "test_share": (0.01 if self.fold is None or self.test_share else 0.0, 0.9),
            "views": (0, 100_000),
            "seed": (0, 2**32 - 1),
            "split_seed": (0, 2**32 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name}: expected {low:.10g} to {high:.10g}, found {value:.10g}")
        if self.fold is not None and not (1 <= self.fold[0] <= self.fold[1] and 2 <= self.fold[1] <= MOST_FOLDS):
            index, count = self.fold
            raise UsageError(
                f"fold: expected i of k with 1 <= i <= k and 2 <= k <= {MOST_FOLDS}, found {index} of {count}"
            )
        for label, floor in self.recall_floors:
            if not 0.0 < floor < 1.0:
                raise UsageError(f"recall of {label}: expected a share between 0 and 1, found {floor:.10g}")
        if len(dict(self.recall_floors)) < len(self.recall_floors):
            raise UsageError("expected one recall for each class")
        if not self.validation_fraction and (self.patience or self.schedule in NEED_HELD_OUT):
            why = f"patience {self.patience}" if self.patience else f"the schedule {self.schedule}"
            raise UsageError(f"{why} needs held-out images; give a validation_fraction above 0")
        if self.vote_share + self.teacher_share > 1.0:
            raise UsageError(
                f"expected a vote_share and a teacher_share of at most 1 together, "
                f"found {self.vote_share:g} and {self.teacher_share:g}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON types."""
        data = asdict(self)
        data["input_shape_hwc"] = list(self.input_shape_hwc)
        data["teacher_sha256s"] = list(self.teacher_sha256s)
        data["fold"] = None if self.fold is None else list(self.fold)
        data["recall_floors"] = dict(self.recall_floors)
        data["augmentation"] = self.augmentation.to_json()
        return data

    def differences(self, other_json: dict[str, Any]) -> list[str]:
        """Name the fields in which a recipe's JSON differs from this one, as far as the steps depend on them."""
        mine = self.to_json()
        names = [item.name for item in fields(self) if item.name != "recall_floors"]
        return [name for name in names if mine[name] != other_json.get(name)]
