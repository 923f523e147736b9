"""The raw samples of `fer-edge bench scaling`: durations in ms, none left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge_bench.samples import FrameWork

__all__ = [
    "MEMORY_KINDS",
    "CrowdPoint",
    "MemoryRun",
    "PixelPoint",
    "ScalingRound",
    "SplitSamples",
    "StageSamples",
]

MEMORY_KINDS = ("pipeline", "tracker")
# Of a run's frames, the first share is warm-up: buffers reach their size, the allocator's caches fill.
_WARM_UP_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSamples:
    """The demo photo's views in turn, each frame's time inside the engine by stage.

    Attributes:
        work: what each of the pictures gave the networks to do.
        inputs: which picture each run was of.
        frame_ms: of each run, pixels to faces.
        engine_ms: of each run inside the engine, by stage.
        peak_ms: of the large convolutions, run between the passes, by name and precision ("conv3x3 float32").
    """

    work: tuple[FrameWork, ...]
    inputs: tuple[int, ...]
    frame_ms: tuple[float, ...]
    engine_ms: Mapping[str, tuple[float, ...]]
    peak_ms: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if not self.inputs or not self.work:
            raise ValueError("expected at least one picture and one run, found none")
        if set(self.inputs) != set(range(len(self.work))):
            raise ValueError(f"inputs: expected each of {len(self.work)} pictures, found {sorted(set(self.inputs))}")
        if set(self.engine_ms) != set(STAGE_NAMES):
            raise ValueError(f"engine_ms: expected {', '.join(STAGE_NAMES)}, found {', '.join(self.engine_ms)}")
        for name, series in (("frame_ms", self.frame_ms), *self.engine_ms.items()):
            if len(series) != len(self.inputs):
                raise ValueError(f"{name}: expected {len(self.inputs)} samples, found {len(series)}")
        _check_durations(self.frame_ms, *self.engine_ms.values(), *self.peak_ms.values())
        if not all(self.peak_ms.values()):
            raise ValueError("peak_ms: expected a sample of each convolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSamples:
    """The same frames with a clock around each call of OpenCV.

    Attributes:
        frame_ms: of each run, pixels to faces, the clocks' own cost included.
        engine_ms: of it, inside the engine.
        opencv_ms: of it, inside functions of OpenCV.
        opencv_calls: how many calls these were.
        clock_us: what the clock around a call costs by itself.
    """

    frame_ms: tuple[float, ...]
    engine_ms: tuple[float, ...]
    opencv_ms: tuple[float, ...]
    opencv_calls: tuple[int, ...]
    clock_us: float

    def __post_init__(self) -> None:
        lengths = {len(self.frame_ms), len(self.engine_ms), len(self.opencv_ms), len(self.opencv_calls)}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"expected series of one length, found {sorted(lengths)}")
        _check_durations(self.frame_ms, self.engine_ms, self.opencv_ms)
        if any(
            engine + opencv > frame
            for frame, engine, opencv in zip(self.frame_ms, self.engine_ms, self.opencv_ms, strict=True)
        ):
            raise ValueError("expected engine and OpenCV within the frame, found more than the whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdPoint:
    """Frames of one size with so many faces.

    Attributes:
        asked: faces put into the frame.
        work: what was found, and what the networks had to do.
        frame_ms, rnet_ms, onet_ms: of each run; the parts with crops and suppression.
    """

    asked: int
    work: FrameWork
    frame_ms: tuple[float, ...]
    rnet_ms: tuple[float, ...]
    onet_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.frame_ms or not len(self.frame_ms) == len(self.rnet_ms) == len(self.onet_ms):
            raise ValueError(f"{self.asked} faces: expected series of one length, at least 1")
        _check_durations(self.frame_ms, self.rnet_ms, self.onet_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPoint:
    """Frames of a size with one face of the same size in each: the frame's width and height, and the runs."""

    size_wh: tuple[int, int]
    work: FrameWork
    frame_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.frame_ms or min(self.size_wh) < 1:
            raise ValueError("expected a size and at least one run")
        _check_durations(self.frame_ms)

    @property
    def megapixels(self) -> float:
        """Return millions of pixels."""
        return self.size_wh[0] * self.size_wh[1] / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRound:
    """All of these in one fresh process."""

    stages: StageSamples
    split: SplitSamples
    crowd: tuple[CrowdPoint, ...]
    pixels: tuple[PixelPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRun:
    """Memory of a fresh process that analyses frame after frame.

    Attributes:
        kind: "pipeline", every frame by itself, or "tracker", a video.
        frames: analysed.
        at_frame: after how many frames each look at the memory came, the last one after all.
        resident_bytes: VmRSS then.
        peak_bytes: VmHWM then.
        wall_s: of all frames.
    """

    kind: str
    frames: int
    at_frame: tuple[int, ...]
    resident_bytes: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    wall_s: float

    def __post_init__(self) -> None:
        if self.kind not in MEMORY_KINDS:
            raise ValueError(f"kind: expected {' or '.join(MEMORY_KINDS)}, found {self.kind[:40]!r}")
        if not len(self.at_frame) == len(self.resident_bytes) == len(self.peak_bytes):
            raise ValueError("expected as many readings of memory as frames at which they were taken")
        if list(self.at_frame) != sorted(set(self.at_frame)) or not self.at_frame or self.at_frame[-1] != self.frames:
            raise ValueError("at_frame: expected ascending numbers up to the last frame")

    @property
    def first_after_warm_up(self) -> int:
        """Return the position of the first reading after the first tenth of the frames, at most the last but one."""
        after = [i for i, frame in enumerate(self.at_frame) if frame >= _WARM_UP_SHARE * self.frames]
        return min(after[0], max(len(self.at_frame) - 2, 0))


def _check_durations(*series: tuple[float, ...]) -> None:
    if any(value < 0 for samples in series for value in samples):
        raise ValueError("expected durations of 0 or more, found one below")
