"""Video: faces are followed from frame to frame, detection runs only now and then, and labels do not flicker."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.pipeline import EmotionPipeline
from fer_edge.results import Detection, Face, FrameAnalysis

__all__ = ["FaceTracker", "TrackerOptions"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Frames are compared by about this many pixels, spread evenly; more would not tell more of a cut.
_GLANCE_COLUMNS, _GLANCE_ROWS = 48, 36
# Two boxes of one face in neighbouring looks overlap by more than this, those of two faces by less.
_SAME_FACE_IOU = 0.3
# Costs of a frame are averaged over about as many frames as this.
_COST_MEMORY = 8
_DEFAULT_PERIOD_S = 1 / 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerOptions:
    """How a video is looked at.

    Attributes:
        detect_every: frames from one detection to the next, at most; 1 detects in every frame. A new face is seen that
            much later.
        classify_every: frames from one classification of the faces to the next; a new face is classified at once.
        max_latency_ms: what a frame may take on average. Detection is then made as often as that allows, up to every
            frame, and at least every `detect_every` frames. None for no bound.
        scene_change: mean difference of two frames' pixels, 0 to 255, from which on it is another scene: all tracks
            end, and detection runs at once.
        smoothing_s: time in which a track's probabilities follow a change by 63 % (1 - 1/e); 0 for none.
        hysteresis: how much likelier than the label shown another one must be to take its place.
        forget_after_s: how long a lost face keeps its number, if it is found again where it was.
    """

    detect_every: int = 10
    classify_every: int = 2
    max_latency_ms: float | None = None
    scene_change: float = 30.0
    smoothing_s: float = 0.4
    hysteresis: float = 0.1
    forget_after_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("detect_every", "classify_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.max_latency_ms is not None and not 0 < self.max_latency_ms < math.inf:
            raise ValueError(f"max_latency_ms: expected a number above 0, found {self.max_latency_ms:g}")
        for name in ("scene_change", "smoothing_s", "forget_after_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, found {getattr(self, name):g}")
        if not 0 <= self.hysteresis < 1:
            raise ValueError(f"hysteresis: expected 0 to 1, found {self.hysteresis:g}")


@dataclass(slots=True, eq=False)
class _Track:
    """A face that is followed while it is alive, and remembered for a while after `seen_s`."""

    number: int
    found: Detection
    seen_s: float
    alive: bool = True
    classified_s: float = 0.0
    probs: Floats | None = None
    label: int = 0


class FaceTracker:
    """Analyses the frames of one stream, in order.

    Between detections each face is looked for with O-Net where it was. Where one is not there any more, and after a
    cut, detection runs in that very frame.

    Attributes:
        detections: frames so far in which detection ran.
        interval_frames: from one detection to the next at present.
    """

    def __init__(self, pipeline: EmotionPipeline, options: TrackerOptions | None = None) -> None:
        self._pipeline = pipeline
        self.options = options or TrackerOptions()
        self.detections = 0
        self.interval_frames = 1 if self.options.max_latency_ms is not None else self.options.detect_every
        self._tracks: list[_Track] = []
        self._next_number = 1
        self._since_detection = 0
        self._since_classification = 0
        self._glance: npt.NDArray[np.int16] | None = None
        self._shape: tuple[int, ...] = ()
        self._time_s: float | None = None
        self._detecting_ms = self._following_ms = _Average()

    def analyse(self, frame_bgr: Pixels, time_s: float | None = None) -> FrameAnalysis:
        """Return the faces of the stream's next frame, each with its track's number; `stages_ms` has "follow" too.

        `detect_ms` is all that comes before classification: comparing with the frame before, following, detecting.

        Args:
            frame_bgr: uint8 (height, width, 3), B, G, R.
            time_s: when it was taken, from any beginning; None for 25 frames per second.

        Raises:
            InputError: the frame is not such an array.
            EngineError: the engine fails.
        """
        started = time.perf_counter()
        now_s = self._time_s = self._advance(time_s)
        seen: list[_Track] | None = None
        if self._is_another_scene(frame_bgr):
            self._tracks = []
        elif self._since_detection < self.interval_frames:
            seen = self._follow(frame_bgr, now_s)
        stages_ms = {"follow": 1000 * (time.perf_counter() - started)}
        if seen is None:
            detections, parts_ms = self._pipeline.detector.analyse(frame_bgr)
            stages_ms |= parts_ms
            seen = self._match(detections, now_s)
            self.detections += 1
            self._since_detection = 0
        self._since_detection += 1
        detected = time.perf_counter()
        parts_ms = self._classify(frame_bgr, seen, now_s)
        faces = tuple(self._face(track) for track in sorted(seen, key=lambda track: -track.found.detection_score))
        ended = time.perf_counter()
        detect_ms, classify_ms = 1000 * (detected - started), 1000 * (ended - detected)
        self._adapt(detect_ms + classify_ms, detected_now="pnet" in stages_ms)
        return FrameAnalysis(
            faces=faces, detect_ms=detect_ms, classify_ms=classify_ms, stages_ms={**stages_ms, **parts_ms}
        )

    def _advance(self, time_s: float | None) -> float:
        if time_s is not None:
            return time_s
        return 0.0 if self._time_s is None else self._time_s + _DEFAULT_PERIOD_S

    def _is_another_scene(self, frame_bgr: Pixels) -> bool:
        """Compare with the frame before, by the green of some pixels; keep this one's for the next."""
        height, width = frame_bgr.shape[:2]
        steps = max(height // _GLANCE_ROWS, 1), max(width // _GLANCE_COLUMNS, 1)
        glance = frame_bgr[:: steps[0], :: steps[1], 1].astype(np.int16)
        before, self._glance = self._glance, glance
        shape, self._shape = self._shape, frame_bgr.shape
        if before is None or shape != frame_bgr.shape:
            return True
        return float(np.abs(glance - before).mean()) >= self.options.scene_change

    def _follow(self, frame_bgr: Pixels, now_s: float) -> list[_Track] | None:
        """Move the tracks that were there in the frame before; None where detection has to tell what became of one."""
        alive = [track for track in self._tracks if track.alive]
        found = self._pipeline.detector.follow(frame_bgr, [track.found.box_xyxy for track in alive])
        if any(detection is None for detection in found):
            return None
        for track, detection in zip(alive, found, strict=True):
            if detection is not None:
                track.found, track.seen_s = detection, now_s
        if self._two_became_one(alive):
            return None
        return alive

    def _two_became_one(self, tracks: Sequence[_Track]) -> bool:
        """Tell whether two tracks follow the same face now: only detection can say which of them lost its own."""
        if len(tracks) < 2:
            return False
        overlaps = _overlaps([track.found for track in tracks], [track.found for track in tracks])
        np.fill_diagonal(overlaps, 0.0)
        return bool(overlaps.max() > 0.5)

    def _match(self, detections: Sequence[Detection], now_s: float) -> list[_Track]:
        """Give each detection the track whose box it overlaps most, best pair first, or a new one."""
        seen: list[_Track] = []
        waiting = dict(enumerate(detections))
        if self._tracks and detections:
            overlaps = _overlaps([track.found for track in self._tracks], detections)
            for flat in np.argsort(-overlaps, axis=None, kind="stable").tolist():
                row, column = divmod(flat, len(detections))
                if overlaps[row, column] < _SAME_FACE_IOU:
                    break
                track = self._tracks[row]
                if column in waiting and track not in seen:
                    track.found, track.seen_s = waiting.pop(column), now_s
                    seen.append(track)
        for detection in waiting.values():
            seen.append(_Track(number=self._next_number, found=detection, seen_s=now_s))
            self._next_number += 1
        lost = [track for track in self._tracks if track not in seen]
        for track in self._tracks:
            track.alive = track in seen
        remembered = [track for track in lost if now_s - track.seen_s <= self.options.forget_after_s]
        self._tracks = seen + remembered
        return seen

    def _classify(self, frame_bgr: Pixels, seen: Sequence[_Track], now_s: float) -> dict[str, float]:
        """Classify all faces where that is due, else those that never were; return what it took."""
        self._since_classification += 1
        due = self._since_classification >= self.options.classify_every
        if due:
            self._since_classification = 0
        chosen = [track for track in seen if due or track.probs is None]
        boxes = [track.found.box_xyxy for track in chosen]
        probs, parts_ms = self._pipeline.classifier.analyse_boxes(frame_bgr, boxes)
        for track, row in zip(chosen, probs, strict=True):
            self._smooth(track, row, now_s)
        return parts_ms

    def _smooth(self, track: _Track, probs: Floats, now_s: float) -> None:
        elapsed_s, track.classified_s = max(now_s - track.classified_s, 0.0), now_s
        if track.probs is None:
            track.probs, track.label = probs, int(probs.argmax())
            return
        smoothing_s = self.options.smoothing_s
        share = 1.0 - math.exp(-elapsed_s / smoothing_s) if smoothing_s > 0 else 1.0
        track.probs = (track.probs + np.float32(share) * (probs - track.probs)).astype(np.float32)
        best = int(track.probs.argmax())
        if track.probs[best] >= track.probs[track.label] + self.options.hysteresis:
            track.label = best

    def _face(self, track: _Track) -> Face:
        found = track.found
        assert track.probs is not None  # noqa: S101 - every track that was seen has been classified
        return Face(
            box_xyxy=found.box_xyxy,
            detection_score=found.detection_score,
            landmarks_xy=found.landmarks_xy,
            probs=track.probs,
            emotion=self._pipeline.labels[track.label],
            track_id=track.number,
        )

    def _adapt(self, cost_ms: float, *, detected_now: bool) -> None:
        """Choose the interval whose mean cost keeps within the bound: (detecting + (n - 1) following) / n."""
        if detected_now:
            self._detecting_ms = self._detecting_ms.with_sample(cost_ms)
        else:
            self._following_ms = self._following_ms.with_sample(cost_ms)
        bound_ms = self.options.max_latency_ms
        if bound_ms is None or self._detecting_ms.mean is None:
            return
        detecting_ms, following_ms = self._detecting_ms.mean, self._following_ms.mean or 0.0
        if detecting_ms <= bound_ms:
            wanted = 1
        elif following_ms >= bound_ms:
            wanted = self.options.detect_every
        else:
            wanted = math.ceil((detecting_ms - following_ms) / (bound_ms - following_ms))
        self.interval_frames = min(wanted, self.options.detect_every)


@dataclass(frozen=True, slots=True)
class _Average:
    """A mean that forgets: of about the last _COST_MEMORY samples; None before the first."""

    mean: float | None = None

    def with_sample(self, value: float) -> _Average:
        if self.mean is None:
            return _Average(value)
        return _Average(self.mean + (value - self.mean) / _COST_MEMORY)


def _overlaps(first: Sequence[Detection], second: Sequence[Detection]) -> npt.NDArray[np.float32]:
    """Return intersection over union of every pair: float32 (len(first), len(second))."""
    one = np.stack([found.box_xyxy for found in first])[:, np.newaxis]
    other = np.stack([found.box_xyxy for found in second])[np.newaxis]
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (one, other)]
    overlaps: npt.NDArray[np.float32] = shared / np.maximum(areas[0] + areas[1] - shared, 1e-6)
    return overlaps
