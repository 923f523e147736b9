"""The steps in their order: read and crop, clean, hold out, enhance, balance, write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge import __version__
from fer_edge.errors import UsageError
from fer_edge.files import check_folder_target
from fer_edge.machine import package_versions
from fer_edge_train.datasets import FaceSet
from fer_edge_train.preparation.balancing import NOISE_VARIANCE, Balanced, balance
from fer_edge_train.preparation.cleaning import CleaningOptions, CleaningReport, clean
from fer_edge_train.preparation.crop import CROPS, make_cropper
from fer_edge_train.preparation.prepared_folder import FACES_NAME, write_prepared
from fer_edge_train.preparation.source import SourceFaces, read_source
from fer_edge_train.typed_command import typed_command

__all__ = ["PREPARATION_RECORD_SCHEMA", "PrepareOptions", "prepare_to_folder"]

PREPARATION_RECORD_SCHEMA = "fer-edge/preparation-record/1"
_HELD_OUT = "validation"

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """What is done to a data set.

    Attributes:
        crop: one of CROPS.
        keep_without_face: with a crop: keep the picture's largest centred square where no face is found.
        size_px: side of the faces made.
        channels: 1 for gray, 3 for B, G, R.
        skip_bad: leave out files that cannot be read.
        clean: how to clean, None for not at all.
        held_out_fraction: part of each class of training that becomes a split "validation" before balancing.
        enhance: folder of a model that `fer-edge train-enhancer` made, None for no enhancement.
        max_factor: small classes of training become at most so many times larger by noisy copies; 1 for no copies.
        noise_variance: of the copies.
        seed: of what is held out, and of the noise.
    """

    crop: str = "none"
    keep_without_face: bool = False
    size_px: int = 48
    channels: int = 1
    skip_bad: bool = False
    clean: CleaningOptions | None = None
    held_out_fraction: float = 0.0
    enhance: Path | None = None
    max_factor: int = 1
    noise_variance: float = NOISE_VARIANCE
    seed: int = 2013

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UsageError(f"crop: expected one of {', '.join(CROPS)}, found {self.crop!r}")
        if self.keep_without_face and self.crop == "none":
            raise UsageError("keeping pictures without a face needs a crop that looks for one: haar or mtcnn")
        if self.channels not in (1, 3):
            raise UsageError(f"channels: expected 1 (gray) or 3 (colour), found {self.channels}")
        bounds: dict[str, tuple[float, float]] = {
            "size_px": (8, 1024),
            "held_out_fraction": (0.0, 0.5),
            "max_factor": (1, 3),
            "noise_variance": (0.0, 10_000.0),
            "seed": (0, 2**32 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name}: expected {low:.10g} to {high:.10g}, found {value:.10g}")

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON types."""
        return {**asdict(self), "enhance": self.enhance.name if self.enhance is not None else None}


def prepare_to_folder(
    data: str | Path,
    out: Path,
    options: PrepareOptions,
    *,
    force: bool,
    progress: Progress = lambda _what, _done, _all: None,
    tell: Callable[[str], object] = lambda _text: None,
) -> dict[str, Any]:
    """Prepare a data set and write it as class folders of PNG files; return the record.

    Args:
        data: a path, or name:path, as `read_dataset` takes it.
        out: folder to make.
        options: what to do.
        force: replace `out` where it is such a folder.
        progress: called now and then with what is done, how many pictures are done, and how many there are.
        tell: called with a line about each step.

    Raises:
        InputError: the data or the enhancer cannot be read.
        OutputError: `out` cannot be written.
        UsageError: `out` exists without `force`, or an option does not fit the data.
    """
    check_folder_target(out, force=force, marker=FACES_NAME)
    enhancer = _open_enhancer(options)
    source = read_source(
        data,
        size_px=options.size_px,
        channels=options.channels,
        cropper=make_cropper(options.crop),
        keep_without_face=options.keep_without_face,
        skip_bad=options.skip_bad,
        progress=lambda done, n: progress("read", done, n),
    )
    _check_splits(source, options)
    training, sets = source.training, dict(source.sets)
    n_read = {split: len(faces) for split, faces in sets.items()}
    digests_read = {split: faces.digest() for split, faces in sets.items()}
    tell(_read_text(source, n_read, options))

    # Pixels are compared before a network touches them: the same picture may come out of it a rounding apart.
    cleaning: CleaningReport | None = None
    if options.clean is not None:
        sets, cleaning = clean(sets, training=training, options=options.clean)
        tell(f"clean: {_counts_text(cleaning.counts())} left out of {training}")
    if options.held_out_fraction:
        sets[training], sets[_HELD_OUT] = sets[training].split(options.held_out_fraction, seed=options.seed)
        if not len(sets[_HELD_OUT]):
            raise UsageError(
                f"expected some pictures to hold out, found none in a part of {options.held_out_fraction:g} of "
                f"{len(sets[training])}; raise --held-out"
            )
        tell(f"held out: {len(sets[_HELD_OUT])} of {training} are now {_HELD_OUT}")
    if enhancer is not None:
        sets = {
            split: enhancer.enhance_set(faces, lambda done, n: progress("enhance", done, n))
            for split, faces in sets.items()
        }
        tell(f"enhance: every picture by {enhancer.name}")
    balanced: Balanced | None = None
    if options.max_factor > 1:
        balanced = balance(
            sets[training],
            seed=options.seed,
            max_factor=options.max_factor,
            variance=options.noise_variance,
        )
        sets[training] = balanced.faces
        tell(f"balance: {int((balanced.copy_numbers > 0).sum())} noisy copies in {training}")

    record: dict[str, Any] = {
        "schema": PREPARATION_RECORD_SCHEMA,
        "fer_edge_version": __version__,
        "command": typed_command(),
        "options": options.to_json(),
        "source": source.stated,
        "training_split": training,
        "read": {
            "faces": n_read,
            "digests": digests_read,
            "without_face": len(source.without_face),
            "several_faces": source.n_several,
        },
        "cleaning": cleaning.to_json() if cleaning is not None else None,
        "enhancer": enhancer.to_json() if enhancer is not None else None,
        "balancing": balanced.to_json() if balanced is not None else None,
        "splits": {split: _split_json(faces) for split, faces in sets.items()},
        "versions": package_versions(("keras", "numpy", "opencv-python-headless")),
    }
    write_prepared(
        out,
        sets,
        copy_numbers={training: balanced.copy_numbers} if balanced is not None else {},
        notes=_notes(source, cleaning, options),
        record=record,
    )
    return record


def _check_splits(source: SourceFaces, options: PrepareOptions) -> None:
    if options.max_factor > 1 and not source.is_split and not options.held_out_fraction:
        raise UsageError(
            "balancing copies pictures, so it must come after the split, or near copies land in training and test; "
            "the data has no splits: hold out a part (--held-out 0.2), or divide it into train and test folders first"
        )
    if options.held_out_fraction and _HELD_OUT in source.sets:
        raise UsageError(f"the data has a split {_HELD_OUT} already; leave --held-out away")


def _open_enhancer(options: PrepareOptions) -> Any:
    """Return the enhancer, read before the long work; Keras is imported only where there is one."""
    if options.enhance is None:
        return None
    from fer_edge_train.preparation.enhancer import Enhancer

    enhancer = Enhancer.open(options.enhance)
    if enhancer.channels != options.channels:
        raise UsageError(
            f"{options.enhance} enhances pictures of {enhancer.channels} channels, found {options.channels} asked for; "
            f"give --channels {enhancer.channels}"
        )
    return enhancer


def _split_json(faces: FaceSet) -> dict[str, Any]:
    counts = np.bincount(faces.label_indices, minlength=len(faces.labels))
    return {
        "pictures": len(faces),
        "classes": {label: int(n) for label, n in zip(faces.labels, counts, strict=True)},
        "digest": faces.digest(),
    }


def _notes(
    source: SourceFaces, cleaning: CleaningReport | None, options: PrepareOptions
) -> list[tuple[str | int, ...]]:
    """Return rows of NOTES_COLUMNS: pictures that were left out, and those kept without a face."""
    no_face = "no face found, kept" if options.keep_without_face else "no face found"
    rows: list[tuple[str | int, ...]] = [
        (item.split, item.label, item.row, item.source, no_face, "") for item in source.without_face
    ]
    for removal in cleaning.removed if cleaning is not None else ():
        same_as = "" if removal.same_as_split is None else f"{removal.same_as_split}: {removal.same_as_source}"
        rows.append((source.training, removal.label, removal.row, removal.source, removal.reason, same_as))
    return rows


def _read_text(source: SourceFaces, n_read: dict[str, int], options: PrepareOptions) -> str:
    parts = [f"read: {_counts_text(n_read)}"]
    n_bad = source.stated["skipped"]["bad"]
    if n_bad:
        parts.append(f"{n_bad} that cannot be read left out")
    if options.crop != "none":
        what = "kept" if options.keep_without_face else "left out"
        by_split = _counts_text(Counter(item.split for item in source.without_face)) or "none"
        parts.append(f"without a face and {what}: {by_split}")
        parts.append(f"with several faces, the largest taken: {source.n_several}")
    return "; ".join(parts)


def _counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())
