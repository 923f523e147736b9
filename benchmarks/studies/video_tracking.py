"""What does following faces save in a video, and what does it cost? The tracker against detection in every frame.

    python benchmarks/studies/video_tracking.py [VIDEO ...] [--max-latency-ms MS] [--max-cpu PERCENT]

Needs videos, by default those of $FER_EDGE_DATA/videos. Twenty frames at a time are decoded and given to both, one
after the other in turns, so that what else the machine does hits both, and each finds its networks in the caches as it
left them. Prints two Markdown tables, costs and findings, a row for each video. Processor time is that of the one
thread that everything runs in, so it tells the same on a machine that has other work. A tracker that has a bound
counts all threads of the process instead, of which those that decode the next frame are others.

The reference is what detection finds in every frame, chained from frame to frame by nearness. A chain of fewer than
three frames in a row is a flicker of the detector; such faces count in "recall" and not in "steady recall". "Extra"
faces are those that the tracker shows and detection does not, whether somebody is there or not. "Switches" are changes
of the track's number along a reference's chain. Label changes are those between one frame of a track and its next,
shown and, in brackets, as every single classification has it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge import Detection, EmotionPipeline, Face, FaceTracker, TrackerOptions
from fer_edge._cv2 import import_cv2
from fer_edge.results import FrameAnalysis
from fer_edge.sources import Frame, open_source

Box = npt.NDArray[np.float32]

SAME_FACE_IOU = 0.5
# A chain goes on where the detector finds a face again after at most this time, its centre no farther away than this
# share of the face's longer side: at 25 frames per second passers-by move by 0.4 of theirs.
CHAIN_GAP_S = 0.5
CHAIN_STEP = 0.5
STEADY_FRAMES = 3
BLOCK_FRAMES = 20
# The first frames, in which engines prepare and caches fill, are in no timing.
WARM_UP_FRAMES = 5
COSTS = (
    "video",
    "frames",
    "detections",
    "skipped",
    "every frame, ms mean / p99",
    "tracker, ms mean / p99",
    "ratio of means",
    "tracker's p99 / mean of every frame",
    "processor, ms mean: every frame / tracker",
    "ratio of these",
    "tracker, % of a core",
)
FINDINGS = (
    "video",
    "recall, %",
    "steady recall, %",
    "extra",
    "chains of the reference",
    "ids",
    "switches",
    "label changes (raw)",
)


@dataclass(slots=True, kw_only=True, eq=False)
class Chain:
    """One face of the reference through the frames.

    Attributes:
        box_xyxy: where it was last.
        seen_s: when that was.
        frames: in which the detector found it.
        numbers: of the track that showed it in each of these, None where none did.
    """

    box_xyxy: Box
    seen_s: float
    frames: list[int] = field(default_factory=list)
    numbers: list[int | None] = field(default_factory=list)

    def steady(self) -> list[bool]:
        """Tell of each frame whether it is one of STEADY_FRAMES in a row."""
        steady = [False] * len(self.frames)
        begin = 0
        for end in range(1, len(self.frames) + 1):
            if end == len(self.frames) or self.frames[end] != self.frames[end - 1] + 1:
                if end - begin >= STEADY_FRAMES:
                    steady[begin:end] = [True] * (end - begin)
                begin = end
        return steady

    def switches(self) -> int:
        """Return how often another track shows the face than the one before."""
        seen = [number for number in self.numbers if number is not None]
        return sum(one != other for one, other in pairwise(seen))


@dataclass(slots=True, kw_only=True, eq=False)
class Result:
    """What was measured on one video."""

    name: str
    size_wh: tuple[int, int]
    times_s: list[float] = field(default_factory=list)
    n_detections: int = 0
    n_skipped: int = 0
    n_extra: int = 0
    label_changes: int = 0
    raw_label_changes: int = 0
    reference_ms: list[float] = field(default_factory=list)
    tracker_ms: list[float] = field(default_factory=list)
    reference_cpu_ms: list[float] = field(default_factory=list)
    tracker_cpu_ms: list[float] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)

    def costs(self) -> list[str]:
        """Return the cells of COSTS."""
        reference_ms, tracker_ms, reference_cpu_ms, tracker_cpu_ms = (
            np.array(each_ms[WARM_UP_FRAMES:])
            for each_ms in (self.reference_ms, self.tracker_ms, self.reference_cpu_ms, self.tracker_cpu_ms)
        )
        duration_s = self.times_s[-1] - self.times_s[WARM_UP_FRAMES - 1]
        return [
            f"{self.name}, {self.size_wh[0]} x {self.size_wh[1]}",
            str(len(self.times_s)),
            str(self.n_detections),
            str(self.n_skipped),
            f"{reference_ms.mean():.2f} / {np.percentile(reference_ms, 99):.2f}",
            f"{tracker_ms.mean():.2f} / {np.percentile(tracker_ms, 99):.2f}",
            f"{reference_ms.mean() / tracker_ms.mean():.1f}",
            f"{np.percentile(tracker_ms, 99) / reference_ms.mean():.2f}",
            f"{reference_cpu_ms.mean():.2f} / {tracker_cpu_ms.mean():.2f}",
            f"{reference_cpu_ms.mean() / tracker_cpu_ms.mean():.1f}",
            f"{tracker_cpu_ms.sum() / duration_s / 10:.1f}",
        ]

    def findings(self) -> list[str]:
        """Return the cells of FINDINGS."""
        found = [number is not None for chain in self.chains for number in chain.numbers]
        steady = [is_steady for chain in self.chains for is_steady in chain.steady()]
        found_steady = [is_found for is_found, is_steady in zip(found, steady, strict=True) if is_steady]
        return [
            self.name,
            _share(found),
            _share(found_steady),
            str(self.n_extra),
            f"{len(self.chains)}, {sum(any(chain.steady()) for chain in self.chains)} steady",
            str(len(self.numbers)),
            str(sum(chain.switches() for chain in self.chains)),
            f"{self.label_changes} ({self.raw_label_changes})",
        ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path, nargs="*", metavar="VIDEO")
    parser.add_argument("--detect-every", type=int, default=TrackerOptions().detect_every)
    parser.add_argument("--max-latency-ms", type=float)
    parser.add_argument("--max-cpu", type=float, metavar="PERCENT")
    arguments = parser.parse_args()
    import_cv2().setNumThreads(1)  # as `fer-edge run` does
    options = TrackerOptions(
        detect_every=arguments.detect_every,
        max_latency_ms=arguments.max_latency_ms,
        max_cpu_percent=arguments.max_cpu,
    )
    videos = arguments.videos or sorted((Path(os.environ["FER_EDGE_DATA"]) / "videos").iterdir())
    results = [measure(path, options) for path in videos]
    _print_table(COSTS, [result.costs() for result in results])
    _print_table(FINDINGS, [result.findings() for result in results])


def measure(path: Path, options: TrackerOptions) -> Result:
    """Look at a video with both, frame by frame."""
    reference, followed = EmotionPipeline(), EmotionPipeline()
    tracker = FaceTracker(followed, options)
    single = ByTrack(followed.labels)

    def search(frame_bgr: npt.NDArray[np.uint8], _: float | None) -> FrameAnalysis:
        return reference.analyse(frame_bgr)

    with open_source(str(path)) as source:
        result = Result(name=path.name, size_wh=source.size_wh or (0, 0))
        frames = iter(source)
        tracker_first = True
        while block := list(islice(frames, BLOCK_FRAMES)):
            if tracker_first:
                followed_faces = _time(tracker.analyse, result.tracker_ms, result.tracker_cpu_ms, block)
            searched_faces = _time(search, result.reference_ms, result.reference_cpu_ms, block)
            if not tracker_first:
                followed_faces = _time(tracker.analyse, result.tracker_ms, result.tracker_cpu_ms, block)
            tracker_first = not tracker_first
            for frame, faces, searched in zip(block, followed_faces, searched_faces, strict=True):
                time_s = frame.time_s or 0.0
                _extend_chains(result, frame.index, time_s, searched, faces)
                result.label_changes += single.shown(faces)
                probs = reference.classifier.analyse_boxes(frame.image_bgr, [face.box_xyxy for face in faces])[0]
                result.raw_label_changes += single.raw(faces, probs)
                result.numbers |= {face.track_id for face in faces if face.track_id is not None}
                result.times_s.append(time_s)
    result.n_detections, result.n_skipped = tracker.n_detections, tracker.n_skipped
    return result


def _time(
    analyse: Callable[[npt.NDArray[np.uint8], float | None], FrameAnalysis],
    wall_ms: list[float],
    cpu_ms: list[float],
    block: Sequence[Frame],
) -> list[tuple[Face, ...]]:
    """Return the faces of some frames, and add to the lists what each took."""
    found = []
    for frame in block:
        started, started_cpu = time.perf_counter(), time.thread_time()
        found.append(analyse(frame.image_bgr, frame.time_s).faces)
        cpu_ms.append(1000 * (time.thread_time() - started_cpu))
        wall_ms.append(1000 * (time.perf_counter() - started))
    return found


class ByTrack:
    """Counts the label changes of each track, as shown and as each classification alone would have it."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._shown: dict[int | None, str] = {}
        self._raw: dict[int | None, str] = {}

    def shown(self, faces: Sequence[Face]) -> int:
        """Return how many tracks show another label than in their frame before."""
        return self._count(self._shown, {face.track_id: face.emotion for face in faces})

    def raw(self, faces: Sequence[Face], probs: npt.NDArray[np.float32]) -> int:
        """Do the same for the likeliest label of `probs`, a row for each face."""
        now = {face.track_id: self._labels[int(row.argmax())] for face, row in zip(faces, probs, strict=True)}
        return self._count(self._raw, now)

    @staticmethod
    def _count(before: dict[int | None, str], now: dict[int | None, str]) -> int:
        changes = sum(before.get(number, label) != label for number, label in now.items())
        before |= now
        return changes


def _extend_chains(
    result: Result, index: int, time_s: float, searched: Sequence[Detection], faces: Sequence[Face]
) -> None:
    """Put each face of the reference into its chain, with the number of the track that shows it."""
    boxes = [face.box_xyxy for face in searched]
    shown_by = dict(_pairs(boxes, [face.box_xyxy for face in faces], _iou, SAME_FACE_IOU))
    result.n_extra += len(faces) - len(shown_by)
    recent = [chain for chain in result.chains if time_s - chain.seen_s <= CHAIN_GAP_S]
    chain_of = dict(_pairs(boxes, [chain.box_xyxy for chain in recent], _nearness, -CHAIN_STEP))
    for position, face in enumerate(searched):
        if position in chain_of:
            chain = recent[chain_of[position]]
        else:
            chain = Chain(box_xyxy=face.box_xyxy, seen_s=time_s)
            result.chains.append(chain)
        chain.box_xyxy, chain.seen_s = face.box_xyxy, time_s
        chain.frames.append(index)
        chain.numbers.append(faces[shown_by[position]].track_id if position in shown_by else None)


def _pairs(
    first: Sequence[Box], second: Sequence[Box], alike: Callable[[Box, Box], float], least: float
) -> Iterator[tuple[int, int]]:
    """Yield positions of boxes that are at least so much alike, best pair first, each box once."""
    ordered = sorted(
        ((alike(one, other), i, j) for i, one in enumerate(first) for j, other in enumerate(second)), reverse=True
    )
    left, right = set(range(len(first))), set(range(len(second)))
    for value, i, j in ordered:
        if value >= least and i in left and j in right:
            left.remove(i)
            right.remove(j)
            yield i, j


def _nearness(one: Box, other: Box) -> float:
    """Return the distance of the boxes' centres in longer sides of the first, below 0: nearer is more."""
    moved = (one[:2] + one[2:] - other[:2] - other[2:]) / 2
    return -float(np.hypot(*moved) / (one[2:] - one[:2]).max())


def _iou(one: Box, other: Box) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.maximum(high - low, 0).prod())
    return shared / float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("| " + " | ".join(columns) + " |")
    print("| --- " + "| --: " * (len(columns) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def _share(found: Iterable[bool]) -> str:
    values = list(found)
    return f"{100 * sum(values) / len(values):.1f} ({sum(values)} of {len(values)})" if values else "-"


if __name__ == "__main__":
    main()
