"""`fer-edge train-enhancer`: from clear faces to the network that `fer-edge prepare --enhance` applies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_edge.command import Command
from fer_edge_train.preparation.enhancer_recipe import EnhancerRecipe

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    default = EnhancerRecipe()
    parser.add_argument(
        "data", metavar="DATA", help="fer2013.csv, a folder in a data set's published layout, or NAME:PATH"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="model folder to make")
    parser.add_argument("--groups", type=int, default=default.groups, help=f"groups of blocks ({default.groups})")
    parser.add_argument("--blocks", type=int, default=default.blocks, help=f"blocks in a group ({default.blocks})")
    parser.add_argument("--filters", type=int, default=default.filters, help=f"a multiple of 8 ({default.filters})")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=default.channels, help="1 gray, 3 colour (1)")
    parser.add_argument("--epochs", type=int, default=default.epochs, help=f"({default.epochs})")
    parser.add_argument(
        "--pictures-per-epoch",
        type=int,
        default=default.pictures_per_epoch,
        metavar="N",
        help=f"drawn anew for each epoch ({default.pictures_per_epoch})",
    )
    parser.add_argument("--batch-size", type=int, default=default.batch_size, help=f"({default.batch_size})")
    parser.add_argument("--peak-rate", type=float, default=default.peak_rate, help=f"({default.peak_rate:g})")
    parser.add_argument(
        "--held-out",
        type=int,
        default=default.held_out,
        metavar="N",
        help=f"training pictures to measure PSNR on ({default.held_out})",
    )
    parser.add_argument("--seed", type=int, default=default.seed, help=f"({default.seed})")
    parser.add_argument("--force", action="store_true", help="replace the folder where it exists")
    parser.add_argument("--restart", action="store_true", help="forget an unfinished run instead of continuing it")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_train.backend import import_keras

    recipe = EnhancerRecipe(
        groups=arguments.groups,
        blocks=arguments.blocks,
        filters=arguments.filters,
        channels=arguments.channels,
        epochs=arguments.epochs,
        pictures_per_epoch=arguments.pictures_per_epoch,
        batch_size=arguments.batch_size,
        peak_rate=arguments.peak_rate,
        held_out=arguments.held_out,
        seed=arguments.seed,
    )
    import_keras()
    from fer_edge_train.preparation.enhancer_run import train_enhancer_to_folder

    train_enhancer_to_folder(
        recipe,
        data=arguments.data,
        out=arguments.out,
        force=arguments.force,
        restart=arguments.restart,
        tell=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
    )
    return 0


COMMAND = Command(summary="train the network that makes hazy faces clearer", configure=_configure, run=_run)
