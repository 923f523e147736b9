"""`fer-edge train`: from data sets to a model folder with its record and card."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from fer_edge.command import Command
from fer_edge.errors import UsageError
from fer_edge_train.augmentation import AUGMENTATIONS, augmentation_named
from fer_edge_train.recipe import COMPUTE_DTYPES, MOST_FOLDS, OPTIMIZERS, Recipe
from fer_edge_train.schedules import SCHEDULES

__all__ = ["COMMAND"]

_DEFAULT = Recipe(architecture="mini_xception")

# Options that are a field of the recipe and nothing else, by group: name of the field, metavar, help.
_NUMBERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "steps": (
        ("epochs", "N", "passes over the training images; 0 only shifts the decision of --start-from or factors it"),
        ("batch_size", "N", "images per step"),
        ("weight_decay", "X", "of kernels, relative to the learning rate"),
        ("average_decay", "X", "of the averaged weights, which are kept; 0 keeps the last ones"),
        ("patience", "N", "stop after N epochs without a smaller held-out loss and keep the best; 0 never"),
        ("seed", "N", "of weights, order and augmentation"),
    ),
    "targets and loss": (
        ("label_smoothing", "X", "share of the uniform distribution in the targets"),
        ("class_weight_power", "X", "weight of rare classes: 0 none, 1 balanced"),
        ("focal_gamma", "X", "focal loss; 0 for none"),
        (
            "views",
            "N",
            "fixed augmentations that the epochs see in turn, for teachers to answer once; 0: anew each epoch",
        ),
    ),
    "data": (
        ("validation_fraction", "X", "part of the training images held out to watch the run"),
        ("test_share", "X", "part of a data set without a published division that is measured on; 0 with folds: none"),
        ("split_seed", "N", "of the parts and folds"),
    ),
}
# What each optimizer usually takes; one's rate sends the other astray.
_PEAK_RATES = {"sgd": _DEFAULT.peak_rate, "adamw": 0.002}
_CHOICES = {"optimizer": OPTIMIZERS, "schedule": tuple(SCHEDULES)}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("architecture", metavar="ARCH", help="a network of the zoo, e.g. mini_xception")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="model folder to make; with --folds, of all of them"
    )
    parser.add_argument("--force", action="store_true", help="replace the folder where it exists")
    parser.add_argument("--restart", action="store_true", help="forget an unfinished run instead of continuing it")
    parser.add_argument("--input-px", type=int, metavar="N", help="side of the input (the network's own)")
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="FOLDER",
        help="model folder whose weights are the initial ones; for a network of low rank also the one that it factors",
    )
    parser.add_argument(
        "--pretrained",
        metavar="SOURCE",
        help="ImageNet weights of the body: imagenet (Keras fetches them) or a no-top .h5 file",
    )
    groups = {title: parser.add_argument_group(title) for title in _NUMBERS}
    _configure_data(groups["data"])
    for title, options in _NUMBERS.items():
        for name, metavar, text in options:
            value = getattr(_DEFAULT, name)
            groups[title].add_argument(
                _flag(name), type=type(value), default=value, metavar=metavar, help=f"{text} ({value:g})"
            )
    groups["steps"].add_argument(
        "--peak-rate",
        type=float,
        metavar="X",
        help="largest learning rate (" + ", ".join(f"{name} {rate:g}" for name, rate in _PEAK_RATES.items()) + ")",
    )
    groups["steps"].add_argument("--momentum", type=float, metavar="X", help=f"of SGD ({_DEFAULT.momentum:g})")
    for name, known in _CHOICES.items():
        value = getattr(_DEFAULT, name)
        groups["steps"].add_argument(_flag(name), choices=known, default=value, help=f"({value})")
    groups["steps"].add_argument(
        "--compute",
        choices=("auto", *COMPUTE_DTYPES),
        default="auto",
        help="type of the products; auto: bfloat16 where torch has it in hardware (auto)",
    )
    groups["steps"].add_argument(
        "--devices",
        type=_devices,
        default=1,
        metavar="N|all",
        help="GPUs that share each batch, on KERAS_BACKEND=jax alone (1)",
    )
    groups["steps"].add_argument(
        "--augment", default="light", metavar="NAME", help=f"one of {', '.join(AUGMENTATIONS)} (light)"
    )
    _configure_targets(groups["targets and loss"])


def _configure_data(group: Any) -> None:
    group.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="[NAME:]PATH",
        help="data set in its published layout, e.g. fer2013.csv.gz or raf-db:FOLDER; several are joined",
    )
    group.add_argument(
        "--skip-bad", action="store_true", help="leave out and count what cannot be used, instead of stopping"
    )
    group.add_argument(
        "--keep-test-copies",
        action="store_true",
        help="train also on pictures that a test part holds, as published figures do; measured with and without them",
    )
    group.add_argument("--by-subject", action="store_true", help="divide so that nobody is in two parts")
    folds = group.add_mutually_exclusive_group()
    folds.add_argument(
        "--fold", type=_fold, metavar="I/K", help="train without the I-th of K parts of the training images, test on it"
    )
    folds.add_argument(
        "--folds", type=int, metavar="K", help="do that for each of K parts in turn, and tell what they say together"
    )
    group.add_argument(
        "--crop-margin", type=float, default=0.0, metavar="X", help="of the square around ExpW's boxes (0)"
    )


def _configure_targets(group: Any) -> None:
    group.add_argument("--votes", type=Path, metavar="CSV", help="FER+'s fer2013new.csv, joined by row (soft targets)")
    group.add_argument("--vote-share", type=float, metavar="X", help="weight of the votes in the targets (0.5)")
    group.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="model folder to learn from; several: from the mean of their probabilities",
    )
    group.add_argument(
        "--recall",
        type=_recall,
        action="append",
        default=[],
        metavar="CLASS=SHARE",
        help="after training, shift the decision until held-out images of the class reach this recall",
    )
    group.add_argument("--teacher-share", type=float, metavar="X", help="weight of the teachers in the targets (0.5)")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_train import zoo
    from fer_edge_train.backend import fastest_compute_dtype, import_keras

    n_folds = arguments.folds
    if n_folds is not None and not 2 <= n_folds <= MOST_FOLDS:
        raise UsageError(f"--folds: expected 2 to {MOST_FOLDS}, found {n_folds}")
    fields: dict[str, Any] = {name: getattr(arguments, name) for group in _NUMBERS.values() for name, _, _ in group}
    fields |= {name: getattr(arguments, name) for name in _CHOICES}
    if arguments.momentum is not None and arguments.optimizer != "sgd":
        raise UsageError(f"--momentum is of SGD; {arguments.optimizer} keeps its own, leave it away")
    fields |= {
        "peak_rate": _PEAK_RATES[arguments.optimizer] if arguments.peak_rate is None else arguments.peak_rate,
        "momentum": _DEFAULT.momentum if arguments.momentum is None else arguments.momentum,
        "architecture": arguments.architecture,
        "augmentation": augmentation_named(arguments.augment),
        "keep_test_copies": arguments.keep_test_copies,
        "by_subject": arguments.by_subject,
        "fold": arguments.fold if n_folds is None else (1, n_folds),
        "recall_floors": tuple(arguments.recall),
        "vote_share": _share(arguments.vote_share, given=arguments.votes is not None),
        "teacher_share": _share(arguments.teacher_share, given=bool(arguments.teacher)),
    }
    # A wrong value or name is told before Keras is imported, which takes seconds.
    Recipe(**fields)
    zoo.check_name(arguments.architecture)
    import_keras()
    from fer_edge_train.devices import use_devices

    use_devices(arguments.devices, arguments.batch_size)
    compute_dtype = fastest_compute_dtype() if arguments.compute == "auto" else arguments.compute
    height, width, channels = zoo.default_input_shape(arguments.architecture)
    side_px = arguments.input_px
    recipe = Recipe(
        **fields,
        compute_dtype=compute_dtype,
        input_shape_hwc=(height, width, channels) if side_px is None else (side_px, side_px, channels),
    )
    from fer_edge_train.run import RunInputs

    inputs = RunInputs(
        data=arguments.data,
        votes=arguments.votes,
        start_from=arguments.start_from,
        pretrained=arguments.pretrained,
        teachers=arguments.teacher,
        skip_bad=arguments.skip_bad,
        margin=arguments.crop_margin,
    )
    options = {"force": arguments.force, "restart": arguments.restart}
    if n_folds is None:
        from fer_edge_train.run import train_to_folder

        train_to_folder(recipe, inputs, arguments.out, **options)
    else:
        from fer_edge_train.folds import train_folds

        train_folds(recipe, inputs, arguments.out, **options)
    return 0


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _share(asked: float | None, *, given: bool) -> float:
    """Return the share asked for, else a half where its source is given."""
    if asked is not None:
        return asked
    return 0.5 if given else 0.0


def _recall(text: str) -> tuple[str, float]:
    label, equals, share = text.partition("=")
    try:
        if label and equals:
            return label, float(share)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected CLASS=SHARE, e.g. fear=0.5, found {text!r}")


def _devices(text: str) -> int | None:
    """Return a number of devices, None for all."""
    if text == "all":
        return None
    if re.fullmatch(r"[1-9]\d{0,3}", text) is None:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1 or all, found {text!r}")
    return int(text)


def _fold(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected I/K, e.g. 1/4, found {text!r}")
    return int(match[1]), int(match[2])


COMMAND = Command(summary="train a network on data sets", configure=_configure, run=_run)
