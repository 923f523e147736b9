"""Labelled faces in memory, with who is on them and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError

__all__ = ["FaceSet", "pixel_digests"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceSet:
    """Faces of one size with one label each.

    Attributes:
        images: uint8 (n, height, width, channels).
        label_indices: int64 (n,), positions in `labels`.
        labels: names of the classes.
        rows: int64 (n,), the row of the table each face came from, counted from 0 without the header; where the
            pictures are files, their number in the order they are read.
        subjects: str (n,), a name for the person on each face, "" where it is not known; None where none is known.
        sources: str (n,), where each face came from, e.g. "happy/S010_006_00000015.png"; None where its row says it.
        originals: str (n,), digest of each face's pixels before they were brought to the size and colour of `images`;
            None where they were not. Divisions go by it, so that every size of input has the same ones.
    """

    images: npt.NDArray[np.uint8]
    label_indices: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.str_] | None = None
    sources: npt.NDArray[np.str_] | None = None
    originals: npt.NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(f"images: expected uint8 (n, h, w, c), found {self.images.dtype} {self.images.shape}")
        n = len(self.images)
        if self.label_indices.shape != (n,) or self.rows.shape != (n,):
            raise ValueError(
                f"expected {n} label indices and rows, found {self.label_indices.shape} and {self.rows.shape}"
            )
        for name in ("subjects", "sources", "originals"):
            texts = getattr(self, name)
            if texts is not None and (texts.shape != (n,) or texts.dtype.kind != "U"):
                raise ValueError(f"{name}: expected str ({n},), found {texts.dtype} {texts.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> FaceSet:
        """Return the faces that a mask (n,) keeps, or those at the given positions, in that order."""
        return FaceSet(
            images=self.images[keep],
            label_indices=self.label_indices[keep],
            labels=self.labels,
            rows=self.rows[keep],
            subjects=None if self.subjects is None else self.subjects[keep],
            sources=None if self.sources is None else self.sources[keep],
            originals=None if self.originals is None else self.originals[keep],
        )

    def source(self, index: int) -> str:
        """Return what to call a face in a message: its file, or its row counted from 1."""
        return f"row {int(self.rows[index]) + 1}" if self.sources is None else str(self.sources[index])

    def class_counts(self) -> npt.NDArray[np.int64]:
        """Return how many faces each class has, int64 (classes,)."""
        return np.bincount(self.label_indices, minlength=len(self.labels)).astype(np.int64)

    def require_every_class(self, name: str) -> None:
        """Check that no class is empty; `name` is what the error calls the set.

        Raises:
            InputError: a class has no face.
        """
        empty = [label for label, n in zip(self.labels, self.class_counts(), strict=True) if not n]
        if empty:
            raise InputError(
                f"{name}: expected faces of each of {len(self.labels)} classes, found none of {', '.join(empty)}; "
                "add a data set that has them (several can be joined)"
            )

    def image_digests(self) -> list[bytes]:
        """Return the SHA-256 digest (32 bytes) of each image's pixels."""
        return [hashlib.sha256(image.tobytes()).digest() for image in self.images]

    def picture_names(self) -> list[str]:
        """Return what is equal for faces of equal pixels, before these were brought to a size."""
        names: list[str] = (pixel_digests(self.images) if self.originals is None else self.originals).tolist()
        return names

    def digest(self) -> str:
        """Return one SHA-256 digest of all pixels and labels, in order: it names exactly this data."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update(self.label_indices.astype("<i8").tobytes())
        return digest.hexdigest()

    def without_constant_images(self) -> FaceSet:
        """Return the set without images that hold a single value (FER-2013 has 12 of them: no face is there)."""
        darkest, brightest = self.images.min(axis=(1, 2, 3)), self.images.max(axis=(1, 2, 3))
        return self.take(darkest != brightest)

    def without_images_of(self, other: FaceSet) -> FaceSet:
        """Return the set without images that `other` holds too, to the pixel: leaks between splits."""
        known = set(other.image_digests())
        return self.take(np.array([digest not in known for digest in self.image_digests()], dtype=np.bool_))

    def split(self, fraction: float, *, seed: int) -> tuple[FaceSet, FaceSet]:
        """Divide into two parts, the second with `fraction` of each class, drawn with `seed`.

        Identical images stay together on one side, so a class's share is exact up to its duplicates.
        """
        rng = np.random.default_rng(seed)
        names = self.picture_names()
        chosen: set[str] = set()
        for label_index in range(len(self.labels)):
            members = np.flatnonzero(self.label_indices == label_index)
            picked = rng.permutation(members)[: round(len(members) * fraction)]
            chosen.update(names[i] for i in picked)
        in_second = np.array([name in chosen for name in names], dtype=np.bool_)
        return self.take(~in_second), self.take(in_second)


def pixel_digests(images: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.str_]:
    """Return a SHA-256 digest of shape and pixels of each image, str (n,) of 64 hexadecimal digits."""
    digests = [hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images]
    return np.array(digests, dtype="U64")
