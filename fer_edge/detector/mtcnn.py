"""MTCNN: P-Net proposes boxes on a pyramid, R-Net rejects and refines them, O-Net does so again and adds landmarks."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.detector.boxes import (
    FROM_EDGES,
    non_maximum_suppression,
    overlaps,
    refine,
    refine_candidates,
    to_square,
)
from fer_edge.detector.crops import square_crops, surroundings
from fer_edge.detector.pyramid import Pyramid, plan_pyramid
from fer_edge.errors import EngineError, InputError
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
    """How the cascade is run.

    Attributes:
        min_face_px: smallest face looked for, in pixels of the frame; halving it costs about four times the time.
        scale_factor: between successive levels of the pyramid; the paper's reference code has 0.709, half the area.
        pnet_threshold, rnet_threshold, onet_threshold: smallest probability of a face that passes each stage. The last
            two are those of the paper's reference code; P-Net's is higher than its 0.6, which pays for the second look.
        max_proposals: at most this many of P-Net's cells above its threshold are looked at, the best ones; bounds the
            time of a frame whose texture looks like faces everywhere.
    """

    min_face_px: float = 40.0
    scale_factor: float = 0.68
    pnet_threshold: float = 0.8
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
        if not isinstance(self.max_proposals, int) or self.max_proposals < 1:
            raise ValueError(f"max_proposals: expected a whole number, 1 or more, found {self.max_proposals!r}")


# Overlaps at which boxes are one face: within a level, between levels, after R- and O-Net. All but the second are those
# of the reference code, which has 0.7 there and so sends many boxes of a face through R-Net: as many chances that one
# fits.
_NMS_LEVEL, _NMS_PROPOSALS, _NMS_RNET, _NMS_ONET = 0.5, 0.6, 0.7, 0.7
# Fewer boxes and a second look are the better bargain: a box that R- or O-Net gives less than its threshold but more
# than this probability is looked at once more, where the network itself has moved it to; one of those that overlap more
# than so, and none where a box has passed. docs/cascade.md has what that costs and finds.
_SECOND_LOOK_RNET, _SECOND_LOOK_ONET, _NMS_SECOND_LOOK = 0.2, 0.03, 0.6
# O-Net, the dearest of the three for a box, sees first the best of the boxes that overlap more than the first number,
# and none that overlaps more than the last with a face of which it is surer than the one between.
_NMS_FIRST, _SURE, _NMS_SURE = 0.5, 0.98, 0.6


class FaceDetector:
    """Finds faces in B, G, R frames. Keeps the buffers of the last frame size; one detector serves one stream."""

    def __init__(self, pnet: Stage, rnet: Stage, onet: Stage, options: DetectorOptions | None = None) -> None:
        self.options = options or DetectorOptions()
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._pyramid: Pyramid | None = None
        # The networks give the difference of two logits; a probability above p is a difference above log(p / (1 - p)).
        self._pnet_logit, self._rnet_logit, self._onet_logit = (
            _logit(p) for p in (self.options.pnet_threshold, self.options.rnet_threshold, self.options.onet_threshold)
        )

    def __call__(self, frame_bgr: Pixels) -> list[Detection]:
        """Return the faces of a frame, best score first.

        Args:
            frame_bgr: uint8 (height, width, 3), B, G, R.

        Raises:
            InputError: the frame is not such an array.
            EngineError: the engine fails, or answers with NaN or infinity.
        """
        return self.analyse(frame_bgr)[0]

    def analyse(self, frame_bgr: Pixels) -> tuple[list[Detection], dict[str, float]]:
        """Do the same and return beside the faces the duration in ms of each of STAGE_PARTS."""
        _check_frame(frame_bgr)
        clock = time.perf_counter
        started = clock()
        pyramid = self._pyramid_for((frame_bgr.shape[1], frame_bgr.shape[0]))
        octaves = pyramid.draw(frame_bgr)
        drawn = clock()
        outputs = [self._pnet.run(tile) for tile in pyramid.tiles()]
        mapped = clock()
        boxes = self._propose(pyramid, outputs)
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
    def pnet_sizes_wh(self) -> tuple[tuple[int, int], ...]:
        """Return width and height of each image that P-Net ran on for the last frame."""
        if self._pyramid is None:
            return ()
        return tuple((tile.shape[2], tile.shape[1]) for tile in self._pyramid.tiles())

    def _propose(self, pyramid: Pyramid, outputs: Sequence[tuple[Floats, ...]]) -> Floats:
        """Choose among P-Net's cells, given its outputs for each tile; returns square boxes (n, 4)."""
        if not outputs:
            return np.empty((0, 4), dtype=np.float32)
        logits = np.concatenate([logit_map.reshape(-1) for logit_map, _ in outputs])
        _check_finite(self._pnet, logits)
        cells = np.flatnonzero(logits > self._pnet_logit)
        cells = cells[pyramid.cell_level[cells] >= 0]
        if cells.size > self.options.max_proposals:
            best = np.argsort(-logits[cells], kind="stable")[: self.options.max_proposals]
            cells = cells[np.sort(best)]
        logits = logits[cells]

        boxes = pyramid.boxes_of_cells(cells)
        # Far apart, levels do not suppress each other: one pass does what one for each level would.
        longer_px = max(pyramid.frame_size_wh)
        apart = pyramid.cell_level[cells].astype(np.float32)[:, np.newaxis] * np.float32(4 * longer_px)
        kept = non_maximum_suppression(boxes + apart, logits, _NMS_LEVEL, "union")
        cells, boxes, logits = cells[kept], boxes[kept], logits[kept]
        kept = non_maximum_suppression(boxes, logits, _NMS_PROPOSALS, "union")
        offsets = np.concatenate([offset_map.reshape(-1, 4) for _, offset_map in outputs])[cells[kept]]
        _check_finite(self._pnet, offsets)
        return to_square(refine_candidates(boxes[kept], offsets))

    def _reject(self, octaves: list[Pixels], boxes: Floats) -> Floats:
        """R-Net on the proposals; returns the square boxes that pass."""
        seen = self._look(self._rnet, octaves, boxes)
        seen = self._look_again(self._rnet, octaves, seen, _logit(_SECOND_LOOK_RNET), self._rnet_logit)
        passed = np.flatnonzero(seen.logits > self._rnet_logit)
        kept = passed[non_maximum_suppression(seen.squares[passed], seen.logits[passed], _NMS_RNET, "union")]
        return to_square(seen.boxes[kept])

    def _finish(self, octaves: list[Pixels], boxes: Floats) -> list[Detection]:
        """O-Net on what R-Net let pass, best first: one box of each group, the others where that is no sure face."""
        ranks = np.arange(len(boxes), 0, -1, dtype=np.float32)
        first = non_maximum_suppression(boxes, ranks, _NMS_FIRST, "union")
        seen = self._look(self._onet, octaves, boxes[first])
        others = np.delete(boxes, first, axis=0)
        sure = seen.boxes[seen.logits > _logit(_SURE)]
        if len(others) and len(sure):
            others = others[overlaps(others, sure).max(axis=1) <= _NMS_SURE]
        if len(others):
            seen = seen.joined(self._look(self._onet, octaves, others))
        seen = self._look_again(self._onet, octaves, seen, _logit(_SECOND_LOOK_ONET), self._onet_logit)
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
        squares = to_square(np.stack(boxes_xyxy) + FROM_EDGES)
        part, squares_in_part = surroundings(frame_bgr, squares, _side_px(self._onet))
        seen = self._ask(self._onet, square_crops([part], squares_in_part, _side_px(self._onet)), squares)
        return [
            seen.detection(index) if logit > self._onet_logit else None
            for index, logit in enumerate(seen.logits.tolist())
        ]

    def _look(self, stage: Stage, octaves: list[Pixels], squares: Floats) -> _Seen:
        """Run R- or O-Net on square boxes (n, 4) of a frame."""
        return self._ask(stage, square_crops(octaves, squares, _side_px(stage)), squares)

    def _ask(self, stage: Stage, crops: Pixels, squares: Floats) -> _Seen:
        """Run R- or O-Net on the crops of square boxes (n, 4)."""
        outputs = stage.run(crops)
        _check_finite(stage, *outputs)
        logits, offsets, *landmarks = outputs
        return _Seen(
            squares=squares,
            logits=logits[:, 0],
            boxes=refine(squares, offsets),
            landmarks=landmarks[0] if landmarks else np.empty((len(squares), 0), dtype=np.float32),
        )

    def _look_again(
        self, stage: Stage, octaves: list[Pixels], seen: _Seen, low_logit: float, high_logit: float
    ) -> _Seen:
        """Add to what a network saw its near misses where it has moved them to."""
        again = seen.near_misses(low_logit, high_logit)
        return seen.joined(self._look(stage, octaves, to_square(seen.boxes[again]))) if again.size else seen

    def _pyramid_for(self, frame_size_wh: tuple[int, int]) -> Pyramid:
        if self._pyramid is None or self._pyramid.frame_size_wh != frame_size_wh:
            self._pnet.forget_sessions()
            self._pyramid = plan_pyramid(frame_size_wh, self.options.min_face_px, self.options.scale_factor)
        return self._pyramid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """R- or O-Net's answers for n square boxes.

    Attributes:
        squares: float32 (n, 4), what the network saw; counted from 1, as `boxes`.
        logits: float32 (n,), log-odds of a face.
        boxes: float32 (n, 4), where the network has moved them to.
        landmarks: float32 (n, 10) of O-Net, x1..x5, y1..y5 as parts of the square; (n, 0) of R-Net.
    """

    squares: Floats
    logits: Floats
    boxes: Floats
    landmarks: Floats

    def near_misses(self, low_logit: float, high_logit: float) -> npt.NDArray[np.intp]:
        """Return the boxes with log-odds between these, the best one where several overlap, none beside one above."""
        considered = np.flatnonzero(self.logits > low_logit)
        if (self.logits[considered] > high_logit).all():
            return considered[:0]
        kept = non_maximum_suppression(self.boxes[considered], self.logits[considered], _NMS_SECOND_LOOK, "union")
        best = considered[kept]
        return best[self.logits[best] <= high_logit]

    def joined(self, other: _Seen) -> _Seen:
        return _Seen(
            squares=np.concatenate([self.squares, other.squares]),
            logits=np.concatenate([self.logits, other.logits]),
            boxes=np.concatenate([self.boxes, other.boxes]),
            landmarks=np.concatenate([self.landmarks, other.landmarks]),
        )

    def detection(self, index: int) -> Detection:
        left, top, right, bottom = self.squares[index].tolist()
        points = self.landmarks[index].reshape(2, 5).T * np.array([right - left + 1, bottom - top + 1], np.float32)
        return Detection(
            box_xyxy=self.boxes[index] - FROM_EDGES,
            detection_score=1.0 / (1.0 + math.exp(-float(self.logits[index]))),
            landmarks_xy=(points + np.array([left - 1, top - 1], np.float32)).astype(np.float32),
        )


def _side_px(stage: Stage) -> int:
    if stage.input_size_wh is None:
        raise ValueError(f"stage {stage.spec.name}: expected a fixed input size")
    return stage.input_size_wh[0]


def _check_finite(stage: Stage, *outputs: Floats) -> None:
    """Refuse what an engine makes of numbers too large for it: it would pass for a frame without faces."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise EngineError(
            f"{stage.spec.name}: expected finite numbers, found NaN or infinity; choose another engine or precision"
        )


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _check_frame(frame: Any) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"frame: expected a numpy array uint8 (height, width, 3) in B, G, R, found {found}")
    if frame.size == 0:
        raise InputError(f"frame: expected at least one pixel, found {frame.shape}")
