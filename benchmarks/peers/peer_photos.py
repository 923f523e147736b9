"""The photos and faces that packages are given, as .npy files: all see the same pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from peer_record import ComparedPhoto

from fer_edge.errors import InputError
from fer_edge.files import sha256_of_file
from fer_edge.images import read_image
from fer_edge.preprocess import resize_exact
from fer_edge_bench.wider import WiderPhoto, read_wider
from fer_edge_train.datasets.fer2013 import read_fer2013

__all__ = ["Labelled", "fit_into", "labelled_photos", "timed_photos"]

Pixels = npt.NDArray[np.uint8]

_PORTRAITS = ("astronaut.png", "grace_hopper.bmp", "single_face.jpg")
_GROUPS = ("face.jpg", "multi_face.jpg")
_PORTRAIT_WH = (640, 480)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What answers are judged by.

    Attributes:
        wider: photos of WIDER FACE with their faces.
        wider_files: the same photos, uint8 (height, width, 3) in B, G, R.
        crops: FER-2013's PublicTest, uint8 (n, 48, 48).
        labels: of each of them.
    """

    wider: tuple[WiderPhoto, ...]
    wider_files: tuple[Path, ...]
    crops: Path
    labels: tuple[str, ...]


def timed_photos(folder: Path, scratch: Path) -> tuple[list[Path], tuple[ComparedPhoto, ...]]:
    """Write the photos that are timed into `scratch` and say what they are.

    Raises:
        InputError: a photo is missing or cannot be decoded.
    """
    files, photos = [], []
    for name in (*_PORTRAITS, *_GROUPS):
        path = folder / name
        image = read_image(path)
        if name in _PORTRAITS:
            image = fit_into(image, _PORTRAIT_WH)
        files.append(scratch / f"{path.stem}.npy")
        np.save(files[-1], image)
        photos.append(
            ComparedPhoto(
                name=name,
                sha256=sha256_of_file(path),
                size_wh=(image.shape[1], image.shape[0]),
                is_portrait=name in _PORTRAITS,
            )
        )
    return files, tuple(photos)


def fit_into(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Return the picture as large as it fits into a size, its proportions kept, centred on black."""
    scale = min(size_wh[0] / image.shape[1], size_wh[1] / image.shape[0])
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    left, top = (size_wh[0] - width) // 2, (size_wh[1] - height) // 2
    fitted = np.zeros((size_wh[1], size_wh[0], image.shape[2]), dtype=np.uint8)
    fitted[top : top + height, left : left + width] = resize_exact(image, (width, height))
    return fitted


def labelled_photos(data: Path, n_photos: int, scratch: Path) -> Labelled:
    """Write what answers are judged by into `scratch`.

    Args:
        data: folder with wider_face and fer2013.
        n_photos: of WIDER FACE, spread over its list, which is sorted by the kind of event.
        scratch: folder for the files.

    Raises:
        InputError: something is missing, or there are fewer photos.
    """
    every = read_wider(data / "wider_face" / "wider_face_val_subset_bbx_gt.txt")
    if not 1 <= n_photos <= len(every):
        raise InputError(f"--wider-photos: expected 1 to {len(every)}, found {n_photos}")
    wider = tuple(every[i * len(every) // n_photos] for i in range(n_photos))
    files = []
    for i, photo in enumerate(wider):
        files.append(scratch / f"wider_{i}.npy")
        np.save(files[-1], read_image(data / "wider_face" / "images" / photo.name))
    faces = read_fer2013(data / "fer2013" / "fer2013.csv.gz", ["PublicTest"])["PublicTest"]
    crops = scratch / "crops.npy"
    np.save(crops, faces.images[..., 0])
    labels = tuple(faces.labels[int(i)] for i in faces.label_indices)
    return Labelled(wider=wider, wider_files=tuple(files), crops=crops, labels=labels)
