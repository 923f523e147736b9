"""MTCNN: P-Net proposes boxes on a pyramid, R-Net rejects and refines them, O-Net does so again and adds landmarks."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.detector.boxes import non_maximum_suppression, refine, refine_candidates, to_square
from fer_edge.detector.pyramid import Canvas, plan_canvas
from fer_edge.errors import InputError
from fer_edge.preprocess import halve
from fer_edge.results import Detection
from fer_edge.stage import Stage

__all__ = ["STAGE_PARTS", "DetectorOptions", "FaceDetector"]

# What a detection is timed by: the pyramid's drawing, P-Net itself, the choice among its cells, then R- and O-Net, each
# with cutting its crops and choosing among its boxes.
STAGE_PARTS = ("pyramid", "pnet", "proposals", "rnet", "onet")

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """How the cascade is run. The thresholds are those of the paper's reference code.

    Attributes:
        min_face_px: smallest face looked for, in pixels of the frame; halving it costs about four times the time.
        scale_factor: between successive levels of the pyramid.
        pnet_threshold, rnet_threshold, onet_threshold: smallest probability of a face that passes each stage.
        max_proposals: at most this many of P-Net's cells above its threshold are looked at, the best ones; bounds the
            time of a frame whose texture looks like faces everywhere.
    """

    min_face_px: float = 40.0
    scale_factor: float = 0.709
    pnet_threshold: float = 0.6
    rnet_threshold: float = 0.7
    onet_threshold: float = 0.7
    max_proposals: int = 20000

    def __post_init__(self) -> None:
        if not self.min_face_px >= 12:
            raise ValueError(f"min_face_px: expected 12 or more (P-Net's field), found {self.min_face_px:g}")
        if not 0.1 <= self.scale_factor <= 0.95:
            raise ValueError(f"scale_factor: expected 0.1 to 0.95, found {self.scale_factor:g}")
        for name in ("pnet_threshold", "rnet_threshold", "onet_threshold"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: expected between 0 and 1, found {getattr(self, name):g}")
        if self.max_proposals < 1:
            raise ValueError(f"max_proposals: expected 1 or more, found {self.max_proposals}")


# From edges counted from 0 to pixels counted from 1, the last included: right and bottom stay.
_FROM_EDGES = np.array([1, 1, 0, 0], dtype=np.float32)

# Overlaps at which boxes are one face, after the reference code: within a level, between levels, after R- and O-Net.
_NMS_LEVEL, _NMS_PROPOSALS, _NMS_RNET, _NMS_ONET = 0.5, 0.7, 0.7, 0.7


class FaceDetector:
    """Finds faces in B, G, R frames. Keeps the buffers of the last frame size; one detector serves one stream."""

    def __init__(self, pnet: Stage, rnet: Stage, onet: Stage, options: DetectorOptions | None = None) -> None:
        self.options = options or DetectorOptions()
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._canvas: Canvas | None = None
        # The networks give the difference of two logits; a probability above p is a difference above log(p / (1 - p)).
        self._pnet_logit, self._rnet_logit, self._onet_logit = (
            math.log(p / (1 - p))
            for p in (self.options.pnet_threshold, self.options.rnet_threshold, self.options.onet_threshold)
        )

    def __call__(self, frame_bgr: Pixels) -> list[Detection]:
        """Return the faces of a frame, best score first.

        Args:
            frame_bgr: uint8 (height, width, 3), B, G, R.

        Raises:
            InputError: the frame is not such an array.
            EngineError: the engine fails.
        """
        return self.analyse(frame_bgr)[0]

    def analyse(self, frame_bgr: Pixels) -> tuple[list[Detection], dict[str, float]]:
        """Do the same and return beside the faces the duration in ms of each of STAGE_PARTS."""
        _check_frame(frame_bgr)
        octaves = [frame_bgr]
        clock = time.perf_counter
        started = clock()
        canvas = self._canvas_for((frame_bgr.shape[1], frame_bgr.shape[0]))
        if canvas.levels:
            canvas.draw(frame_bgr)
        drawn = clock()
        outputs = self._pnet.run(canvas.pixels[np.newaxis]) if canvas.levels else None
        mapped = clock()
        boxes = np.empty((0, 4), dtype=np.float32) if outputs is None else self._propose(canvas, *outputs)
        proposed = clock()
        boxes = self._reject(octaves, boxes)
        rejected = clock()
        found = self._finish(octaves, boxes)
        times_s = (started, drawn, mapped, proposed, rejected, clock())
        return found, {
            part: 1000 * (end - begin) for part, begin, end in zip(STAGE_PARTS, times_s[:-1], times_s[1:], strict=True)
        }

    @property
    def stages(self) -> Mapping[str, Stage]:
        """Return the three networks by name: "pnet", "rnet", "onet"."""
        return {"pnet": self._pnet, "rnet": self._rnet, "onet": self._onet}

    @property
    def canvas_size_wh(self) -> tuple[int, int]:
        """Return width and height of what P-Net last ran on; (0, 0) before the first frame and where no level fits."""
        if self._canvas is None:
            return (0, 0)
        height, width = self._canvas.pixels.shape[:2]
        return (width, height)

    def _propose(self, canvas: Canvas, logit_map: Floats, offset_map: Floats) -> Floats:
        """Choose among P-Net's cells; returns square boxes (n, 4)."""
        logits = logit_map.reshape(-1)
        cells = np.flatnonzero(logits > self._pnet_logit)
        cells = cells[canvas.cell_level[cells] >= 0]
        if cells.size > self.options.max_proposals:
            best = np.argsort(-logits[cells], kind="stable")[: self.options.max_proposals]
            cells = cells[np.sort(best)]
        logits = logits[cells]

        boxes = canvas.boxes_of_cells(cells)
        # Far apart, levels do not suppress each other: one pass does what one for each level would.
        longer_px = max(canvas.frame_size_wh)
        apart = canvas.cell_level[cells].astype(np.float32)[:, np.newaxis] * np.float32(4 * longer_px)
        kept = non_maximum_suppression(boxes + apart, logits, _NMS_LEVEL, "union")
        cells, boxes, logits = cells[kept], boxes[kept], logits[kept]
        kept = non_maximum_suppression(boxes, logits, _NMS_PROPOSALS, "union")
        return to_square(refine_candidates(boxes[kept], offset_map.reshape(-1, 4)[cells[kept]]))

    def _reject(self, octaves: list[Pixels], boxes: Floats) -> Floats:
        """R-Net on the proposals; returns the square boxes that pass."""
        logits, offsets = self._rnet.run(_crops(octaves, boxes, self._rnet))
        passed = np.flatnonzero(logits[:, 0] > self._rnet_logit)
        boxes, scores, offsets = boxes[passed], logits[passed, 0], offsets[passed]
        kept = non_maximum_suppression(boxes, scores, _NMS_RNET, "union")
        return to_square(refine(boxes[kept], offsets[kept]))

    def _finish(self, octaves: list[Pixels], boxes: Floats) -> list[Detection]:
        """O-Net on what R-Net let pass."""
        seen = self._look_closely(octaves, boxes)
        passed = np.flatnonzero(seen.logits > self._onet_logit)
        kept = passed[non_maximum_suppression(seen.boxes[passed], seen.logits[passed], _NMS_ONET, "min")]
        return [seen.detection(index) for index in kept.tolist()]

    def follow(self, frame_bgr: Pixels, boxes_xyxy: Sequence[Floats]) -> list[Detection | None]:
        """Look with O-Net alone where faces were in the frame before: what a camera sees moves little between two.

        Args:
            frame_bgr: uint8 (height, width, 3), B, G, R.
            boxes_xyxy: float32 (4,) each, as a Detection has them.

        Returns:
            For each box the face now, or None where O-Net's probability is not above its threshold.

        Raises:
            InputError: the frame is not such an array.
            EngineError: the engine fails.
        """
        _check_frame(frame_bgr)
        if not boxes_xyxy:
            return []
        boxes = np.stack(boxes_xyxy) + _FROM_EDGES
        seen = self._look_closely([frame_bgr], to_square(boxes))
        return [
            seen.detection(index) if logit > self._onet_logit else None
            for index, logit in enumerate(seen.logits.tolist())
        ]

    def _look_closely(self, octaves: list[Pixels], boxes: Floats) -> _Seen:
        logits, offsets, landmarks = self._onet.run(_crops(octaves, boxes, self._onet))
        # Landmarks are x1..x5, y1..y5 as parts of the box that O-Net saw, not of the refined one.
        size = boxes[:, 2:] - boxes[:, :2] + 1
        points = boxes[:, np.newaxis, :2] + landmarks.reshape(-1, 2, 5).transpose(0, 2, 1) * size[:, np.newaxis] - 1
        return _Seen(logits=logits[:, 0], boxes=refine(boxes, offsets), points=points.astype(np.float32))

    def _canvas_for(self, frame_size_wh: tuple[int, int]) -> Canvas:
        if self._canvas is None or self._canvas.frame_size_wh != frame_size_wh:
            self._pnet.forget_sessions()
            self._canvas = plan_canvas(frame_size_wh, self.options.min_face_px, self.options.scale_factor)
        return self._canvas


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """O-Net's answers for n boxes: log-odds (n,), refined boxes (n, 4) counted from 1, landmarks (n, 5, 2)."""

    logits: Floats
    boxes: Floats
    points: Floats

    def detection(self, index: int) -> Detection:
        return Detection(
            box_xyxy=self.boxes[index] - _FROM_EDGES,
            detection_score=1.0 / (1.0 + math.exp(-float(self.logits[index]))),
            landmarks_xy=self.points[index],
        )


def _crops(octaves: list[Pixels], boxes: Floats, stage: Stage) -> Pixels:
    """Cut square boxes out of a frame and bring them to a stage's size; what lies outside the frame is black.

    Each crop is one affine step from the octave in which the box is between one and two times the stage's size. Drawing
    crops at twice their size and halving them, as the pyramid's levels are, found no more faces.
    """
    cv2 = import_cv2()
    size_wh = stage.input_size_wh
    if size_wh is None:
        raise ValueError(f"stage {stage.spec.name}: expected a fixed input size")
    side = size_wh[0]
    crops = np.empty((len(boxes), side, side, 3), dtype=np.uint8)
    matrix: npt.NDArray[Any] = np.zeros((2, 3), dtype=np.float64)
    for box, crop in zip(boxes.tolist(), crops, strict=True):
        left, top, right, _ = box
        box_px = max(right - left + 1, 1.0)
        octave = max(math.floor(math.log2(box_px / side)), 0)
        while len(octaves) <= octave:
            octaves.append(halve(octaves[-1]))
        shrink = 0.5**octave
        step = box_px / side * shrink
        matrix[0, 0] = matrix[1, 1] = step
        # Pixel centres: source = (left - 1 + (target + 0.5) * box / side) / 2^octave - 0.5.
        matrix[0, 2] = (left - 1) * shrink + 0.5 * step - 0.5
        matrix[1, 2] = (top - 1) * shrink + 0.5 * step - 0.5
        cv2.warpAffine(octaves[octave], matrix, size_wh, dst=crop, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return crops


def _check_frame(frame: Any) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found {found}")
    if frame.size == 0:
        raise InputError(f"frame: expected at least one pixel, found {frame.shape}")
