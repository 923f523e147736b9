"""A picture of what an enhancer does to the demo photo's face: input, restored, clear, a row for each haze."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.assets import demo_photo_path
from fer_edge.files import atomic_path
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square, face_pixels
from fer_edge_train.plots import require_matplotlib
from fer_edge_train.preparation.haze import scatter
from fer_edge_train.preparation.image_quality import psnr_db

__all__ = ["DEMO_FACE_XYXY", "demo_face", "demo_haze", "draw_before_after"]

Pixels = npt.NDArray[np.uint8]

# Where the runtime's MTCNN finds the face; written down, so that training needs no engine.
DEMO_FACE_XYXY = (181.0, 61.0, 266.0, 175.0)
_ROWS = ("light haze, t = 0.7", "dense haze, t = 0.35", "denser to the right", "no haze")
_AIRLIGHT = 0.9
_DPI = 110


def demo_face(size_px: int, channels: int) -> Pixels:
    """Return the demo photo's face (NASA, public domain): uint8 (size_px, size_px, channels)."""
    crop = crop_square(read_image(demo_photo_path()), np.array(DEMO_FACE_XYXY, dtype=np.float32), 0.0)
    return face_pixels(crop, (size_px, size_px), channels)


def demo_haze(face: Pixels) -> Pixels:
    """Return the face with each of the picture's hazes: uint8 (4, h, w, c), the last without any."""
    height, width = face.shape[:2]
    transmission = np.ones((len(_ROWS), height, width))
    transmission[0], transmission[1] = 0.7, 0.35
    transmission[2] = np.linspace(0.8, 0.3, width)
    return scatter(np.stack([face] * len(_ROWS)), transmission, np.full(len(_ROWS), _AIRLIGHT))


def draw_before_after(enhance: Callable[[Pixels], Pixels], channels: int, path: Path, *, size_px: int = 48) -> None:
    """Draw the picture into a PNG.

    Args:
        enhance: from uint8 (n, h, w, channels) to the same.
        channels: of the pictures.
        path: of the PNG.
        size_px: side of the faces, as the network was trained on.

    Raises:
        MissingExtraError: matplotlib is missing.
        OutputError: the PNG cannot be written.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    face = demo_face(size_px, channels)
    hazy = demo_haze(face)
    restored = enhance(hazy)
    clear = np.stack([face] * len(hazy))
    figure = Figure(figsize=(6.6, 2.15 * len(hazy)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(hazy), 3)
    for i, axes in enumerate(rows):
        for column, (name, images) in enumerate((("input", hazy), ("restored", restored), ("clear", clear))):
            shown = images[i, ..., 0] if channels == 1 else images[i, ..., ::-1]
            axes[column].imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes[column].set_xticks([])
            axes[column].set_yticks([])
            axes[column].set_title(name if name == "clear" else f"{name}: {_psnr_text(images[i], face)}", fontsize=9)
        axes[0].set_ylabel(_ROWS[i], fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _psnr_text(image: Pixels, clear: Pixels) -> str:
    value = float(psnr_db(image[np.newaxis], clear[np.newaxis])[0])
    return f"{value:.1f} dB" if np.isfinite(value) else "equal"
