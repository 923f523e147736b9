"""`fer-edge prepare`: crop, clean, enhance and balance a data set into class folders."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fer_edge.command import Command

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="fer2013.csv, a folder in a data set's published layout, or NAME:PATH"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder to make")
    parser.add_argument(
        "--crop",
        choices=("none", "haar", "mtcnn"),
        default="none",
        help="cut out the largest face; mtcnn finds it as the runtime does (none: the largest centred square)",
    )
    parser.add_argument(
        "--keep-without-face", action="store_true", help="keep the centred square where no face is found"
    )
    parser.add_argument("--size", type=int, default=48, metavar="PX", help="side of the faces (48)")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1, help="1 gray, 3 colour (1)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out and list files that cannot be read")
    parser.add_argument(
        "--clean", action="store_true", help="leave blank and repeated pictures, and copies of test pictures, out"
    )
    parser.add_argument(
        "--conflicts",
        choices=("drop", "first"),
        help="of repeated pictures with different labels, keep none or the first (drop)",
    )
    parser.add_argument(
        "--near-constant-std", type=float, metavar="X", help="pixels that vary less show nothing (3, of 255)"
    )
    parser.add_argument(
        "--held-out", type=float, default=0.0, metavar="X", help="part of training to make a validation split of (0)"
    )
    parser.add_argument("--enhance", type=Path, metavar="FOLDER", help="network made by fer-edge train-enhancer")
    parser.add_argument(
        "--balance", action="store_true", help="copy small classes of training with Gaussian noise of variance 5"
    )
    parser.add_argument("--max-factor", type=int, choices=(2, 3), help="a class grows at most so many times (3)")
    parser.add_argument("--seed", type=int, default=2013, help="of the noise and of what is held out (2013)")
    parser.add_argument("--force", action="store_true", help="replace the folder where it exists")
    parser.add_argument("--json", action="store_true", help="print the record as JSON instead of the table")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.errors import UsageError
    from fer_edge_train.preparation.cleaning import CleaningOptions
    from fer_edge_train.preparation.steps import PrepareOptions, prepare_to_folder

    cleaning: dict[str, Any] = {}
    if arguments.conflicts is not None:
        cleaning["conflicts"] = arguments.conflicts
    if arguments.near_constant_std is not None:
        cleaning["near_constant_std"] = arguments.near_constant_std
    if cleaning and not arguments.clean:
        raise UsageError("--conflicts and --near-constant-std say how to clean; add --clean or leave them away")
    if arguments.max_factor is not None and not arguments.balance:
        raise UsageError("--max-factor says how to balance; add --balance or leave it away")
    options = PrepareOptions(
        crop=arguments.crop,
        keep_without_face=arguments.keep_without_face,
        size_px=arguments.size,
        channels=arguments.channels,
        skip_bad=arguments.skip_bad,
        clean=CleaningOptions(**cleaning) if arguments.clean else None,
        held_out_fraction=arguments.held_out,
        enhance=arguments.enhance,
        max_factor=(arguments.max_factor or 3) if arguments.balance else 1,
        seed=arguments.seed,
    )
    record = prepare_to_folder(
        arguments.data,
        arguments.out,
        options,
        force=arguments.force,
        progress=_show,
        tell=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
    )
    if arguments.json:
        sys.stdout.write(json.dumps(record, allow_nan=False) + "\n")
    else:
        sys.stdout.write(f"{arguments.out}\n\n{_table(record)}\n")
    return 0


def _show(what: str, done: int, n: int) -> None:
    """Show one line that updates, where someone watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what}: {done} of {n}" + ("\n" if done == n else ""))
        sys.stderr.flush()


def _table(record: dict[str, Any]) -> str:
    """Return the number of pictures by class and split."""
    splits: dict[str, Any] = record["splits"]
    labels = list(dict.fromkeys(label for split in splits.values() for label in split["classes"]))
    rows = [["class", *splits]]
    rows += [[label, *(str(split["classes"].get(label, 0)) for split in splits.values())] for label in labels]
    rows.append(["all", *(str(split["pictures"]) for split in splits.values())])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: list[str], widths: list[int]) -> str:
    numbers = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *numbers])


COMMAND = Command(
    summary="crop, clean, enhance and balance a data set into class folders", configure=_configure, run=_run
)
