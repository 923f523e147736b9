"""Several data sets as one (paper A joins RAF-DB, JAFFE and CK+), and the pictures that are in more than one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet

__all__ = ["Place", "SamePicture", "find_same_pictures", "join"]


def join(sets: Mapping[str, FaceSet]) -> FaceSet:
    """Put sets one after the other.

    Sources and subjects get the set's name in front ("ck-plus/S010"): two data sets may call two people the same. Rows
    are numbered anew, since a row says nothing without its table.

    Args:
        sets: by name, at least one, with the same labels and the same size of image.

    Raises:
        InputError: labels or sizes differ, or there is no set.
    """
    if not sets:
        raise InputError("expected at least one data set to join, found none")
    first_name, first = next(iter(sets.items()))
    for name, faces in sets.items():
        if faces.labels != first.labels:
            raise InputError(
                f"{name}: expected the labels of {first_name} ({', '.join(first.labels)}), found "
                f"{', '.join(faces.labels)}; read both with or without contempt"
            )
        if faces.images.shape[1:] != first.images.shape[1:]:
            raise InputError(
                f"{name}: expected images of {first.images.shape[1:]} as in {first_name}, found "
                f"{faces.images.shape[1:]}; read both with one size and colour"
            )
    subjects = np.concatenate([_prefixed(name, _subjects(faces)) for name, faces in sets.items()])
    sources = [f"{name}/{faces.source(i)}" for name, faces in sets.items() for i in range(len(faces))]
    return FaceSet(
        images=np.concatenate([faces.images for faces in sets.values()]),
        label_indices=np.concatenate([faces.label_indices for faces in sets.values()]),
        labels=first.labels,
        rows=np.arange(len(sources), dtype=np.int64),
        subjects=subjects if (subjects != "").any() else None,
        sources=np.array(sources, dtype=np.str_),
        originals=np.array([name for faces in sets.values() for name in faces.picture_names()], dtype="U64"),
    )


def _subjects(faces: FaceSet) -> npt.NDArray[np.str_]:
    return np.full(len(faces), "", dtype=np.str_) if faces.subjects is None else faces.subjects


def _prefixed(name: str, subjects: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    return np.array([f"{name}/{subject}" if subject else "" for subject in subjects], dtype=np.str_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a picture is.

    Attributes:
        set_name: of the set or split.
        index: position in it.
        source: what the set calls it.
        label: its class there.
    """

    set_name: str
    index: int
    source: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamePicture:
    """A picture that is in several places, equal to the pixel."""

    places: tuple[Place, ...]

    @property
    def is_across(self) -> bool:
        """Whether it is in more than one set: a leak, where these are splits."""
        return len({place.set_name for place in self.places}) > 1

    @property
    def has_conflict(self) -> bool:
        """Whether the places give it different labels."""
        return len({place.label for place in self.places}) > 1


def find_same_pictures(sets: Mapping[str, FaceSet]) -> list[SamePicture]:
    """Return every picture that occurs more than once, found by its digest, in the order of its first place.

    Args:
        sets: splits or data sets by name, with images of one size.
    """
    places: dict[bytes, list[Place]] = defaultdict(list)
    for name, faces in sets.items():
        for i, digest in enumerate(faces.image_digests()):
            label = faces.labels[int(faces.label_indices[i])]
            places[digest].append(Place(set_name=name, index=i, source=faces.source(i), label=label))
    return [SamePicture(places=tuple(found)) for found in places.values() if len(found) > 1]
