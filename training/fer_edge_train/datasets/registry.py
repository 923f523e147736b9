"""The data sets that can be read: one line each, known by name or by what lies in a folder."""

from __future__ import annotations

import difflib
import importlib
import re
from contextlib import suppress
from pathlib import Path

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets.pictures import list_folder
from fer_edge_train.datasets.reading import Dataset, DatasetKind, ReadOptions, Skipped

__all__ = ["DATASETS", "FALLBACK", "dataset_kind", "read_dataset"]

# name -> "module:ATTRIBUTE"
DATASETS: dict[str, str] = {
    "fer-2013": "fer_edge_train.datasets.fer2013:KIND",
    "ck-plus": "fer_edge_train.datasets.ck_plus:KIND",
    "ck-plus-sequences": "fer_edge_train.datasets.ck_plus_sequences:KIND",
    "jaffe": "fer_edge_train.datasets.jaffe:KIND",
    "kdef": "fer_edge_train.datasets.kdef:KIND",
    "raf-db": "fer_edge_train.datasets.raf_db:KIND",
    "expw": "fer_edge_train.datasets.expw:KIND",
    "tfrecord": "fer_edge_train.datasets.tfrecord.faces:KIND",
    "class-folders": "fer_edge_train.datasets.class_folders:KIND",
}
# Several of the others are class folders too: it is what a folder is when it is nothing else.
FALLBACK = "class-folders"

_NAMED = re.compile(r"([A-Za-z0-9_+-]+):(.+)", re.DOTALL)


def read_dataset(spec: str | Path, options: ReadOptions) -> Dataset:
    """Read a data set in its published layout.

    Args:
        spec: a path, whose layout is recognised by what is there, or `name:path`, e.g. `raf-db:/data/raf`.
        options: how pictures become faces, and what to do with those that cannot be used.

    Raises:
        InputError: there is nothing at the path, no layout or more than one fits, or the data cannot be used.
        UsageError: no data set has that name.
    """
    name, path = _parse_spec(spec)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a data set")
    name = name or _recognise(path)
    kind = dataset_kind(name)
    skipped = Skipped(skip_bad=options.skip_bad)
    splits = kind.read(path, options, skipped)
    return Dataset(name=name, title=kind.title, licence=kind.licence, splits=splits, skipped=skipped)


def dataset_kind(name: str) -> DatasetKind:
    """Return what is known of a data set before it is read.

    Raises:
        UsageError: no data set has that name.
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name.lower(), DATASETS, n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(DATASETS)
        raise UsageError(f"no data set is named {name!r}; {hint}")
    module_name, _, attribute = DATASETS[name].partition(":")
    kind: DatasetKind = getattr(importlib.import_module(module_name), attribute)
    return kind


def _parse_spec(spec: str | Path) -> tuple[str | None, Path]:
    match = _NAMED.fullmatch(str(spec))
    # A path may have a colon in it.
    if isinstance(spec, Path) or match is None or Path(spec).exists():
        return None, Path(spec)
    dataset_kind(match[1])
    return match[1], Path(match[2])


def _recognise(path: Path) -> str:
    fitting = _fitting(path)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(
            f"{path}: expected the layout of one data set, found those of {' and '.join(fitting)}; "
            f"name the one you mean, e.g. {fitting[0]}:{path}"
        )
    looked_for = "; ".join(f"{name}: {dataset_kind(name).layout}" for name in DATASETS)
    hint = _other_level(path) or f"looked for {looked_for}"
    raise InputError(f"{path}: no data set is laid out like this; {hint}")


def _other_level(path: Path) -> str | None:
    """Return a hint where a folder in this one, or the one that holds it, has a known layout."""
    for other in (*(list_folder(path)[0] if path.is_dir() else ()), path.absolute().parent):
        # Neighbours that may not be looked at say nothing.
        with suppress(InputError):
            fitting = _fitting(other)
            if fitting:
                return f"{other} looks like {fitting[0]}, did you mean that?"
    return None


def _fitting(path: Path) -> list[str]:
    """Return the names of the data sets whose layout the path has."""
    fitting = [name for name in DATASETS if name != FALLBACK and dataset_kind(name).recognise(path)]
    return fitting or [FALLBACK] * dataset_kind(FALLBACK).recognise(path)
