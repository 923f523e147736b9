"""Video: faces are followed from frame to frame, detection runs only now and then, and labels do not flicker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.detector.boxes import FROM_EDGES, overlaps
from fer_edge.errors import InputError
from fer_edge.pipeline import EmotionPipeline
from fer_edge.results import Detection, Face, FrameAnalysis

__all__ = ["FaceTracker", "TrackerOptions"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Frames are compared by about this many pixels, spread evenly; more would not tell more of a cut.
_GLANCE_COLUMNS, _GLANCE_ROWS = 48, 36
# Two boxes of one face in neighbouring looks overlap by more than this, those of two faces by less.
_SAME_FACE_IOU = 0.3
# Two tracks whose boxes overlap by more than this have come upon one face.
_SAME_PLACE_IOU = 0.5
# How much of a face's step from one look to the next goes into its velocity. Boxes tremble by some pixels in a hundred:
# half damps that and takes up a new pace within three frames.
_VELOCITY_SHARE = 0.5
# Of a step in less time than this less goes in: frames that come in a burst would make a tremble a leap.
_FULL_STEP_S = 0.01
# After a cut, and after a face came or went, detection runs so many times as often; each that finds no other doubles
# the interval again.
_SOONER_AFTER_CHANGE = 8
# What a detection costs is averaged over about as many as this.
_COST_MEMORY = 8
# What was saved, or is owed, counts up to the cost of so many detections: a quiet hour does not pay for a busy minute,
# nor does following stop for long because the machine was busy once.
_MOST_SAVED_DETECTIONS = 2
_DEFAULT_PERIOD_S = 1 / 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerOptions:
    """How a video is looked at.

    Attributes:
        detect_every: frames from one detection to the next, at most; 1 detects in every frame. A new face is seen that
            much later. After a cut, and after a face came or went, the next one comes after an eighth of these frames,
            then after a quarter, a half.
        classify_every: frames from one classification of the faces to the next; a new face is classified at once.
        max_latency_ms: what a frame may take on average; None for no bound.
        max_cpu_percent: what the analysis may use of one processor core in the stream's time, 100 for one that is never
            idle; None for no bound.
        scene_change: mean difference of two frames' pixels, 0 to 255, from which on it is another scene: all tracks
            end, and detection runs at once.
        smoothing_s: time in which a track's probabilities follow a change by 63 % (1 - 1/e); 0 for none.
        hysteresis: how much likelier than the label shown another one must be to take its place.
        forget_after_s: how long a lost face keeps its number, if it is found again where it was.

    With a bound, detection runs as often as that allows, up to every frame, and `detect_every` says how scarce time is
    shared: detection gets what one in so many frames takes, following the rest. Frames for which nothing is left are
    skipped. The first two detections, and what one frame takes beyond two of them, are in no bound.
    """

    detect_every: int = 24
    classify_every: int = 3
    max_latency_ms: float | None = None
    max_cpu_percent: float | None = None
    scene_change: float = 30.0
    smoothing_s: float = 0.4
    hysteresis: float = 0.1
    forget_after_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("detect_every", "classify_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        for name in ("max_latency_ms", "max_cpu_percent"):
            bound = getattr(self, name)
            if bound is not None and not 0 < bound < math.inf:
                raise ValueError(f"{name}: expected a number above 0, found {bound:g}")
        for name in ("scene_change", "smoothing_s", "forget_after_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, found {getattr(self, name):g}")
        if not 0 <= self.hysteresis < 1:
            raise ValueError(f"hysteresis: expected 0 to 1, found {self.hysteresis:g}")


@dataclass(slots=True, eq=False)
class _Track:
    """A face that is followed while it is alive, and remembered for a while after `seen_s`.

    Attributes:
        step_xy: float32 (2,), how far its centre moves in a second, in pixels.
    """

    number: int
    found: Detection
    seen_s: float
    step_xy: Floats
    alive: bool = True
    classified_s: float = 0.0
    probs: Floats | None = None
    label: int = 0

    def expected_box(self, now_s: float) -> Floats:
        """Return where the face is if it went on as it moved: float32 (4,)."""
        left, top, right, bottom = self.found.box_xyxy.tolist()
        x, y = (self.step_xy * (now_s - self.seen_s)).tolist()
        return np.array([left + x, top + y, right + x, bottom + y], dtype=np.float32)

    def move_to(self, found: Detection, now_s: float) -> None:
        elapsed_s = now_s - self.seen_s
        if elapsed_s > 0:
            corners = found.box_xyxy - self.found.box_xyxy
            step_xy = (corners[:2] + corners[2:]) * np.float32(0.5 / elapsed_s)
            share = _VELOCITY_SHARE * min(elapsed_s / _FULL_STEP_S, 1.0)
            self.step_xy += np.float32(share) * (step_xy - self.step_xy)
        self.found, self.seen_s = found, now_s


class FaceTracker:
    """Analyses the frames of one stream, in order.

    Between detections each face is looked for with O-Net where it should be by its last steps. Where one is not there,
    and after a cut, detection runs in that very frame.

    Attributes:
        n_detections: frames so far in which detection ran.
        n_skipped: frames so far that were not looked at, to keep a bound.
        skipped: whether the last frame was. Its faces are then those of the frame before, unchanged.
    """

    def __init__(
        self,
        pipeline: EmotionPipeline,
        options: TrackerOptions | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """Begin a stream.

        Args:
            pipeline: it must serve no other stream.
            options: see TrackerOptions.
            clock: seconds, by which latency is measured.
            cpu_clock: seconds of processor time, by which `max_cpu_percent` is kept. The default counts all threads of
                the process, also those that decode the next frame; `time.thread_time` leaves out an engine's own.
        """
        self._pipeline = pipeline
        self.options = options or TrackerOptions()
        self.n_detections = self.n_skipped = 0
        self.skipped = False
        self._tracks: list[_Track] = []
        self._faces: tuple[Face, ...] = ()
        self._next_number = 1
        self._since_detection = 0
        self._interval = 1
        self._since_classification = 0
        self._glance: Pixels | None = None
        self._shape: tuple[int, ...] = ()
        self._time_s: float | None = None
        self._clock = clock
        self._budgets: list[_Budget] = []
        if self.options.max_latency_ms is not None:
            self._budgets.append(_Budget(clock, per_frame_s=self.options.max_latency_ms / 1000))
        if self.options.max_cpu_percent is not None:
            self._budgets.append(_Budget(cpu_clock, per_second_s=self.options.max_cpu_percent / 100))

    def analyse(self, frame_bgr: Pixels, time_s: float | None = None) -> FrameAnalysis:
        """Return the faces of the stream's next frame, each with its track's number; `stages_ms` has "follow" too.

        `detect_ms` is all that comes before classification: comparing with the frame before, following, detecting.

        Args:
            frame_bgr: uint8 (height, width, 3), B, G, R.
            time_s: when it was taken, from any beginning; None for 25 frames per second.

        Raises:
            InputError: the frame is not such an array, or the time is no finite number.
            EngineError: the engine fails.
        """
        if time_s is not None and not math.isfinite(time_s):
            raise InputError(f"time_s: expected a finite number of seconds, found {time_s}")
        started = self._clock()
        before_s, now_s = self._time_s, self._advance(time_s)
        self._time_s = now_s
        for budget in self._budgets:
            budget.begin_frame(_DEFAULT_PERIOD_S if before_s is None else max(now_s - before_s, 0.0))
        cut = self._is_another_scene(frame_bgr)
        if cut:
            self._tracks, self._faces = [], ()
        self._since_detection += 1
        seen, parts_ms = self._find(frame_bgr, now_s, cut=cut)
        detected = self._clock()
        self.skipped = seen is None
        if seen is None:
            self.n_skipped += 1
        else:
            parts_ms |= self._classify(frame_bgr, seen, now_s)
            seen = sorted(seen, key=lambda track: -track.found.detection_score)
            self._faces = tuple(self._face(track) for track in seen)
        ended = self._clock()
        for budget in self._budgets:
            budget.end_frame(detected=self._since_detection == 0)
        return FrameAnalysis(
            faces=self._faces,
            detect_ms=1000 * (detected - started),
            classify_ms=1000 * (ended - detected),
            stages_ms=parts_ms,
        )

    def _find(self, frame_bgr: Pixels, now_s: float, *, cut: bool) -> tuple[list[_Track] | None, dict[str, float]]:
        """Follow or detect; None for the tracks where neither can be afforded."""
        started = self._clock()
        # The first frame is a cut. With a bound, detection is due whenever there is enough for it.
        due = cut or bool(self._budgets) or self._since_detection >= self._interval
        can_detect = all(budget.can_detect() for budget in self._budgets)
        before = {track.number for track in self._tracks if track.alive}
        seen: list[_Track] | None = None
        if not (due and can_detect):
            share = min(self._since_detection / self.options.detect_every, 1.0)
            if not all(budget.can_follow(share) for budget in self._budgets):
                return None, {}
            seen, complete = self._follow(frame_bgr, now_s)
            if not complete and can_detect:
                seen = None
        parts_ms = {"follow": 1000 * (self._clock() - started)}
        if seen is None:
            detections, detecting_ms = self._pipeline.detector.analyse(frame_bgr)
            parts_ms |= detecting_ms
            seen = self._match(detections, now_s)
            self.n_detections += 1
            self._since_detection = 0
            self._interval = self._next_interval(changed=cut or {track.number for track in seen} != before)
        return seen, parts_ms

    def _next_interval(self, *, changed: bool) -> int:
        """Return the frames to the next detection: where faces came or went, others soon may."""
        longest = self.options.detect_every
        return max(longest // _SOONER_AFTER_CHANGE, 1) if changed else min(2 * self._interval, longest)

    def _advance(self, time_s: float | None) -> float:
        if time_s is not None:
            return time_s
        return 0.0 if self._time_s is None else self._time_s + _DEFAULT_PERIOD_S

    def _is_another_scene(self, frame_bgr: Pixels) -> bool:
        """Compare with the frame before, by the green of some pixels; keep this one's for the next."""
        if not isinstance(frame_bgr, np.ndarray) or frame_bgr.dtype != np.uint8 or frame_bgr.ndim != 3:
            return True  # detection says what is wrong with it
        height, width = frame_bgr.shape[:2]
        steps = max(height // _GLANCE_ROWS, 1), max(width // _GLANCE_COLUMNS, 1)
        glance = np.ascontiguousarray(frame_bgr[:: steps[0], :: steps[1], 1])
        before, self._glance = self._glance, glance
        shape, self._shape = self._shape, frame_bgr.shape
        if before is None or shape != frame_bgr.shape:
            return True
        cv2 = import_cv2()
        return bool(cv2.norm(glance, before, cv2.NORM_L1) >= self.options.scene_change * glance.size)

    def _follow(self, frame_bgr: Pixels, now_s: float) -> tuple[list[_Track], bool]:
        """Move the tracks that were there in the frame before; tell also whether that accounts for all of them.

        Where it does not, only detection can say what became of a face.
        """
        alive = [track for track in self._tracks if track.alive]
        found = self._pipeline.detector.follow(frame_bgr, [track.expected_box(now_s) for track in alive])
        for track, detection in zip(alive, found, strict=True):
            if detection is None:
                track.alive = False
            else:
                track.move_to(detection, now_s)
        seen = [track for track in alive if track.alive]
        self._end_followers(seen)
        still_seen = [track for track in seen if track.alive]
        return still_seen, len(still_seen) == len(alive)

    def _end_followers(self, tracks: Sequence[_Track]) -> None:
        """Where two tracks follow the same face now, end the one that is less sure of it."""
        if len(tracks) < 2:
            return
        boxes = [track.found.box_xyxy for track in tracks]
        shared = _overlaps(boxes, boxes)
        for one, other in np.argwhere(np.triu(shared, k=1) > _SAME_PLACE_IOU).tolist():
            min(tracks[one], tracks[other], key=lambda track: track.found.detection_score).alive = False

    def _match(self, detections: Sequence[Detection], now_s: float) -> list[_Track]:
        """Give each detection the track whose box it overlaps most, best pair first, or a new one."""
        seen: list[_Track] = []
        waiting = dict(enumerate(detections))
        if self._tracks and detections:
            shared = self._overlaps_with_tracks(detections, now_s)
            for flat in np.argsort(-shared, axis=None, kind="stable").tolist():
                row, column = divmod(flat, len(detections))
                if shared[row, column] < _SAME_FACE_IOU:
                    break
                track = self._tracks[row]
                if column in waiting and track not in seen:
                    track.move_to(waiting.pop(column), now_s)
                    seen.append(track)
        for detection in waiting.values():
            seen.append(
                _Track(number=self._next_number, found=detection, seen_s=now_s, step_xy=np.zeros(2, np.float32))
            )
            self._next_number += 1
        lost = [track for track in self._tracks if track not in seen]
        for track in self._tracks:
            track.alive = track in seen
        remembered = [track for track in lost if now_s - track.seen_s <= self.options.forget_after_s]
        self._tracks = seen + remembered
        return seen

    def _overlaps_with_tracks(self, detections: Sequence[Detection], now_s: float) -> Floats:
        """Return how much each detection overlaps each track, where that was or where it should be by now."""
        boxes = [found.box_xyxy for found in detections]
        there = _overlaps([track.found.box_xyxy for track in self._tracks], boxes)
        return np.maximum(there, _overlaps([track.expected_box(now_s) for track in self._tracks], boxes))

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


class _Budget:
    """Time that frames earn and looking at them spends.

    A detection is paid in advance, by what the ones before took. Following is not: what it takes more than was there
    has to be earned before the next. The first two detections are free: in one engines prepare, the other tells what it
    takes.
    """

    def __init__(self, clock: Callable[[], float], *, per_frame_s: float = 0.0, per_second_s: float = 0.0) -> None:
        self._clock = clock
        self._per_frame_s, self._per_second_s = per_frame_s, per_second_s
        self._saved_s = 0.0
        self._detecting = _Average()
        self._started = 0.0

    def begin_frame(self, elapsed_s: float) -> None:
        """Start the frame's clock; it earns its share, after `elapsed_s` of the stream's time."""
        self._started = self._clock()
        self._saved_s += self._per_frame_s + self._per_second_s * elapsed_s

    def can_detect(self) -> bool:
        return self._is_free() or self._saved_s >= self._detecting.mean_s

    def can_follow(self, share: float) -> bool:
        """Tell whether there is more than `share` of what the next detection takes."""
        return self._saved_s > share * self._detecting.mean_s

    def end_frame(self, *, detected: bool) -> None:
        cost_s = self._clock() - self._started
        if not (detected and self._is_free()):
            self._saved_s -= cost_s
        if detected:
            self._detecting = self._detecting.with_sample(cost_s)
        most_s = _MOST_SAVED_DETECTIONS * self._detecting.mean_s
        self._saved_s = min(max(self._saved_s, -most_s), most_s)

    def _is_free(self) -> bool:
        return self._detecting.n_samples < 2


@dataclass(frozen=True, slots=True)
class _Average:
    """A mean that forgets: of about the last _COST_MEMORY samples, and not of the first once there is a second."""

    mean_s: float = 0.0
    n_samples: int = 0

    def with_sample(self, value_s: float) -> _Average:
        share = 1.0 if self.n_samples < 2 else 1 / _COST_MEMORY
        return _Average(self.mean_s + share * (value_s - self.mean_s), self.n_samples + 1)


def _overlaps(first: Sequence[Floats], second: Sequence[Floats]) -> Floats:
    """Return intersection over union of every pair of boxes: float32 (len(first), len(second))."""
    return overlaps(np.stack(first) + FROM_EDGES, np.stack(second) + FROM_EDGES)
