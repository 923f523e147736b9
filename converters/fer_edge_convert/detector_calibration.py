"""What MTCNN's networks see in use: the inputs that set the int8 ranges of P-, R- and O-Net, from a float cascade.

Random crops are no such inputs: P-Net sees pyramids drawn with an area filter, R- and O-Net see little but what the
stage before took for a face. docs/mtcnn-int8.md measures the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.detector.pyramid import plan_pyramid
from fer_edge.engines import load_engine
from fer_edge.errors import InputError
from fer_edge.stage import Stage
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.recording import RecordingStage

__all__ = ["TILE_PX", "CalibrationLimits", "DetectorCalibration", "calibration_of_detector"]

Pixels = npt.NDArray[np.uint8]

# Side of the squares cut from P-Net's canvases. Canvases differ in size and calibration wants one shape; a tile holds
# 43 x 43 fields of P-Net.
TILE_PX = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLimits:
    """How many inputs are kept, at most.

    Attributes:
        tiles_per_photo: of P-Net's canvas; at most this many from one photo.
        pnet_tiles, rnet_crops, onet_crops: over all photos.
    """

    tiles_per_photo: int = 4
    pnet_tiles: int = 300
    rnet_crops: int = 500
    onet_crops: int = 500

    def __post_init__(self) -> None:
        for name in ("tiles_per_photo", "pnet_tiles", "rnet_crops", "onet_crops"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectorCalibration:
    """Inputs of the three networks, uint8 in B, G, R, and where they come from.

    Attributes:
        pnet: uint8 (n, 96, 96, 3), squares of packed pyramids, the black gaps between levels with them.
        rnet: uint8 (n, 24, 24, 3), proposals of P-Net as they come: most are no faces.
        onet: uint8 (n, 48, 48, 3), what R-Net let pass.
        n_photos: looked at.
        n_rnet_seen, n_onet_seen: crops that were there to draw from.
        seed: of the draw.
    """

    pnet: Pixels
    rnet: Pixels
    onet: Pixels
    n_photos: int
    n_rnet_seen: int
    n_onet_seen: int
    seed: int

    def of(self, stage: str) -> Pixels:
        """Return the inputs of "pnet", "rnet" or "onet"."""
        found: Pixels = {"pnet": self.pnet, "rnet": self.rnet, "onet": self.onet}[stage]
        return found

    def to_json(self, stages: Iterable[str] = NETWORKS) -> dict[str, Any]:
        """Return what identifies the inputs of some stages, as JSON types."""
        return {
            "photos": self.n_photos,
            "seed": self.seed,
            **{
                stage: {"images": len(self.of(stage)), "digest": hashlib.sha256(self.of(stage).tobytes()).hexdigest()}
                for stage in stages
            },
            "rnet_crops_seen": self.n_rnet_seen,
            "onet_crops_seen": self.n_onet_seen,
        }


def calibration_of_detector(
    photos_bgr: Iterable[Pixels],
    bundle: Bundle,
    options: DetectorOptions,
    *,
    seed: int,
    limits: CalibrationLimits | None = None,
) -> DetectorCalibration:
    """Run a detector in float32 with LiteRT on photos, and draw from what its three stages are given.

    Every crop of every photo has the same chance, so that proposals that are faces and others are drawn in the
    proportion in which they occur. Memory is bounded by `limits`, whatever the number of photos.

    Args:
        photos_bgr: uint8 (height, width, 3), B, G, R; none of them may be measured on later.
        bundle: with the three stages for LiteRT in float32.
        options: that the detector will have in use.
        seed: of the draw.
        limits: how many inputs to keep.

    Raises:
        InputError: a stage was given nothing: there are no photos, or no face in them.
        EngineError: the engine fails.
    """
    limits = limits or CalibrationLimits()
    rng = np.random.default_rng(seed)
    tiles, rnet, onet = (_Reservoir(size, rng) for size in (limits.pnet_tiles, limits.rnet_crops, limits.onet_crops))
    engine = load_engine("litert")
    pnet = Stage(bundle, "pnet", engine, precision="float32")
    stages = {
        name: RecordingStage(bundle, name, engine, precision="float32", batch_sizes=batch_sizes)
        for name, batch_sizes in (("rnet", (1, 8)), ("onet", (1,)))
    }
    detector = FaceDetector(pnet, stages["rnet"], stages["onet"], options=options)
    n_photos = 0
    for photo in photos_bgr:
        n_photos += 1
        detector(photo)
        # What P-Net runs on is cut where a core's cache wants it and in many shapes: not what calibration wants.
        pyramid = plan_pyramid((photo.shape[1], photo.shape[0]), options.min_face_px, options.scale_factor)
        pyramid.draw(photo)
        for tile in _tiles([canvas.pixels for canvas in pyramid.canvases], limits.tiles_per_photo, rng):
            tiles.offer(tile)
        for reservoir, name in ((rnet, "rnet"), (onet, "onet")):
            for crop in stages[name].take():
                reservoir.offer(crop)
    for stage, kept in (("pnet", tiles), ("rnet", rnet), ("onet", onet)):
        if not kept.items:
            raise InputError(
                f"calibration photos: expected some that give {stage} something to look at, found none in "
                f"{n_photos} photos; give more photos of faces"
            )
    return DetectorCalibration(
        pnet=np.stack(tiles.items),
        rnet=np.stack(rnet.items),
        onet=np.stack(onet.items),
        n_photos=n_photos,
        n_rnet_seen=rnet.n_seen,
        n_onet_seen=onet.n_seen,
        seed=seed,
    )


def _tiles(canvases: Sequence[Pixels], n: int, rng: np.random.Generator) -> list[Pixels]:
    """Cut up to `n` squares out of canvases at even places; a canvas smaller than one is put on black."""
    padded = [_padded(canvas) for canvas in canvases]
    shapes = [((image.shape[0] - TILE_PX) // 2 + 1, (image.shape[1] - TILE_PX) // 2 + 1) for image in padded]
    places = [(index, 2 * y, 2 * x) for index, (ys, xs) in enumerate(shapes) for y in range(ys) for x in range(xs)]
    chosen = rng.choice(len(places), min(n, len(places)), replace=False).tolist() if places else []
    return [
        padded[index][top : top + TILE_PX, left : left + TILE_PX].copy()
        for index, top, left in (places[place] for place in chosen)
    ]


def _padded(canvas: Pixels) -> Pixels:
    height, width = canvas.shape[:2]
    padded = np.zeros((max(height, TILE_PX), max(width, TILE_PX), 3), dtype=np.uint8)
    padded[:height, :width] = canvas
    return padded


class _Reservoir:
    """Keeps `size` of a stream of unknown length, each with the same chance.

    Vitter, "Random sampling with a reservoir", 1985, algorithm R.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size, self._rng = size, rng
        self.items: list[Pixels] = []
        self.n_seen = 0

    def offer(self, item: Pixels) -> None:
        self.n_seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
            return
        place = int(self._rng.integers(self.n_seen))
        if place < self._size:
            self.items[place] = item
