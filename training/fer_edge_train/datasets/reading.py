"""What every reader shares: what is asked of it, what it could not use, and what it returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.labels import CONTEMPT, EXPRESSIONS

__all__ = ["Dataset", "DatasetKind", "ReadOptions", "Skipped"]

Pixels = npt.NDArray[np.uint8]

KDEF_ANGLES = ("FL", "HL", "S", "HR", "FR")
_N_EXAMPLES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How a data set becomes faces. The last four concern some data sets only.

    Attributes:
        size_px: side of the faces.
        channels: 1 for gray, 3 for B, G, R.
        skip_bad: leave out and count what cannot be used, instead of stopping at the first.
        keep_contempt: make contempt an eighth class, instead of leaving such faces out (counted).
        progress: called now and then with how many pictures are read and how many there are.
        crop_face: cuts the face out of a picture, uint8 (h, w, 3) in B, G, R; None where it sees no face. Used where
            whole pictures are published: JAFFE, KDEF, CK+ sequences, class folders. Without it the largest centred
            square is taken.
        margin: ExpW's crop is a square, its side the published box's longer side times (1 + margin).
        angles: KDEF's views, of FL, HL, S, HR, FR: full and half left profile, straight, half and full right.
        last_frames, first_frames: CK+ sequences begin neutral and end at the apex, so the last `last_frames` get the
            sequence's label and the first `first_frames` are neutral. 3 and 1 are usual.
    """

    size_px: int
    channels: int
    skip_bad: bool = False
    keep_contempt: bool = False
    progress: Callable[[int, int], object] | None = None
    crop_face: Callable[[Pixels], Pixels | None] | None = None
    margin: float = 0.0
    angles: tuple[str, ...] = ("S",)
    last_frames: int = 3
    first_frames: int = 1

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UsageError(f"channels: expected 1 (gray) or 3 (B, G, R), found {self.channels}")
        bounds: dict[str, tuple[float, float]] = {
            "size_px": (8, 1024), "margin": (-0.9, 4.0), "last_frames": (1, 100), "first_frames": (0, 100),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name}: expected {low:g} to {high:g}, found {value:g}")
        if not self.angles or not set(self.angles) <= set(KDEF_ANGLES):
            raise UsageError(
                f"angles: expected some of {', '.join(KDEF_ANGLES)}, found {', '.join(self.angles) or '-'}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of every set that is read."""
        return (*EXPRESSIONS, CONTEMPT) if self.keep_contempt else EXPRESSIONS


class Skipped:
    """What was left out: entries that could not be used, and those left out on purpose.

    Attributes:
        n_bad: how many could not be used.
        examples: why, for the first 20 of them.
        left_out: how many were left out on purpose, for each reason.
    """

    def __init__(self, *, skip_bad: bool) -> None:
        self._skip_bad = skip_bad
        self.n_bad = 0
        self.examples: list[str] = []
        self.left_out: Counter[str] = Counter()

    def bad(self, error: InputError, n: int = 1) -> None:
        """Count `n` entries that cannot be used.

        Raises:
            InputError: `error` itself, unless bad entries are to be skipped.
        """
        if not self._skip_bad:
            raise error
        self.n_bad += n
        if len(self.examples) < _N_EXAMPLES:
            self.examples.append(str(error))

    def leave_out(self, reason: str, n: int = 1) -> None:
        """Count entries left out on purpose; `reason` follows the number in a sentence."""
        if n:
            self.left_out[reason] += n

    def to_text(self) -> str:
        """Return lines for a person, "" where nothing was left out."""
        lines = [f"left out on purpose: {n} {reason}" for reason, n in self.left_out.items()]
        if self.n_bad:
            lines.append(f"skipped because they cannot be used: {self.n_bad}")
            lines += [f"  {example}" for example in self.examples]
            if self.n_bad > len(self.examples):
                lines.append(f"  and {self.n_bad - len(self.examples)} more")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the counts and examples as JSON types."""
        return {"bad": self.n_bad, "examples": list(self.examples), "left_out": dict(self.left_out)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A data set as it was read.

    Attributes:
        name: in the registry.
        title: as its authors call it.
        licence: on what terms they give it.
        splits: the faces by published split, e.g. "train" and "test"; "all" where the authors made none.
        skipped: what is not among them.
    """

    name: str
    title: str
    licence: str
    splits: dict[str, FaceSet]
    skipped: Skipped

    def split(self, name: str) -> FaceSet:
        """Return one split.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in self.splits:
            raise UsageError(f"{self.title} has no split {name!r}; it has {', '.join(self.splits)}")
        return self.splits[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetKind:
    """One published layout.

    Attributes:
        title: as its authors call it, and where they describe it.
        licence: on what terms they give it.
        layout: what is looked for, in a few words.
        recognise: whether a file or folder has this layout; it looks at names, and reads no more than a header.
        read: from a path to the published splits.
    """

    title: str
    licence: str
    layout: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions, Skipped], dict[str, FaceSet]]
