"""`fer-edge train`: from a data set to a model folder with its record and card."""

from __future__ import annotations

import argparse
from pathlib import Path

from fer_edge.command import Command
from fer_edge_train.recipe import OPTIMIZERS, Recipe

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    default = Recipe(architecture="mini_xception")
    parser.add_argument("architecture", metavar="ARCH", help="a network of the zoo, e.g. mini_xception")
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="fer2013.csv or fer2013.csv.gz")
    parser.add_argument("--votes", type=Path, metavar="CSV", help="FER+'s fer2013new.csv, joined by row (soft targets)")
    parser.add_argument("--vote-share", type=float, metavar="X", help="weight of the votes in the targets (0.5)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="model folder to make")
    parser.add_argument("--epochs", type=int, default=default.epochs, help=f"({default.epochs})")
    parser.add_argument("--batch-size", type=int, default=default.batch_size, help=f"({default.batch_size})")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=default.optimizer, help=f"({default.optimizer})")
    parser.add_argument(
        "--start-from", type=Path, metavar="FOLDER", help="model folder whose weights are the initial ones"
    )
    parser.add_argument("--peak-rate", type=float, default=default.peak_rate, help=f"({default.peak_rate:g})")
    parser.add_argument("--weight-decay", type=float, default=default.weight_decay, help=f"({default.weight_decay:g})")
    parser.add_argument(
        "--label-smoothing", type=float, default=default.label_smoothing, help=f"({default.label_smoothing:g})"
    )
    parser.add_argument(
        "--validation-fraction",
        type=float,
        default=default.validation_fraction,
        help=f"part of the training images held out to watch the run ({default.validation_fraction:g})",
    )
    parser.add_argument("--seed", type=int, default=default.seed, help=f"({default.seed})")
    parser.add_argument("--force", action="store_true", help="replace the folder where it exists")
    parser.add_argument("--restart", action="store_true", help="forget an unfinished run instead of continuing it")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_train.backend import import_keras

    votes_given = arguments.votes is not None
    recipe = Recipe(
        architecture=arguments.architecture,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        optimizer=arguments.optimizer,
        peak_rate=arguments.peak_rate,
        weight_decay=arguments.weight_decay,
        label_smoothing=arguments.label_smoothing,
        vote_share=arguments.vote_share if arguments.vote_share is not None else (0.5 if votes_given else 0.0),
        validation_fraction=arguments.validation_fraction,
        seed=arguments.seed,
    )
    import_keras()
    from fer_edge_train.run import train_to_folder

    train_to_folder(
        recipe,
        data=arguments.data,
        votes=arguments.votes,
        out=arguments.out,
        force=arguments.force,
        restart=arguments.restart,
        start_from=arguments.start_from,
    )
    return 0


COMMAND = Command(summary="train a network on a data set", configure=_configure, run=_run)
