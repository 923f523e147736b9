"""What fresh processes measure: raw samples, processor time, memory and energy. All of it is kept in the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from fer_edge.classifier import STAGE_PARTS as CLASSIFIER_PARTS
from fer_edge.detector.mtcnn import STAGE_PARTS as DETECTOR_PARTS

__all__ = [
    "FACE_SERIES",
    "FRAME_SERIES",
    "STAGE_SERIES",
    "BulkRun",
    "CpuSeconds",
    "FrameWork",
    "Round",
    "Steady",
    "StreamTrial",
    "SustainedRun",
]

# The parts of a frame, in order.
STAGE_SERIES = (*DETECTOR_PARTS, *CLASSIFIER_PARTS)
# "decode": a file's bytes to pixels. "frame": pixels to faces, timed from outside; it holds the parts, and what they
# leave of it is the pipeline's own. "engine": of "frame", the time inside the engine.
FRAME_SERIES = ("decode", "frame", *STAGE_SERIES, "engine")
# The classifier alone: a crop to probabilities, and of that the time inside the engine.
FACE_SERIES = ("face", "engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSeconds:
    """Processor time of all threads, in seconds."""

    user_s: float
    system_s: float

    def __post_init__(self) -> None:
        _check_not_negative(self, "user_s", "system_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """A repeated piece of work, after its warm-up.

    Attributes:
        warm_up_runs: untimed runs before.
        settled: the warm-up ended because the time no longer changed, not because its bound was reached.
        began_s, ended_s: of all timed runs together, in seconds since the benchmark's start.
        process_cpu: of this process meanwhile.
        machine_cpu: of all processes meanwhile; None where the system does not tell.
        energy_j: of the whole board meanwhile; None without a sensor, or where it is too slow to tell.
        inputs: for each run the position of its picture in the record's load.
        samples_ms: one duration for each run, in order, by series.
    """

    warm_up_runs: int
    settled: bool
    began_s: float
    ended_s: float
    process_cpu: CpuSeconds
    machine_cpu: CpuSeconds | None
    energy_j: float | None
    inputs: tuple[int, ...]
    samples_ms: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        _check_not_negative(self, "warm_up_runs", "began_s")
        if self.ended_s < self.began_s:
            raise ValueError(f"ended_s: expected {self.began_s} or more, found {self.ended_s}")
        lengths = {len(self.inputs), *(len(series) for series in self.samples_ms.values())}
        if len(lengths) != 1 or 0 in lengths or not self.samples_ms:
            raise ValueError(f"samples_ms: expected series of one length, at least 1; found {sorted(lengths)}")
        for name, series in self.samples_ms.items():
            if min(series) < 0:
                raise ValueError(f"samples_ms, {name}: expected 0 or more, found {min(series)}")

    @property
    def runs(self) -> int:
        """Return the number of timed runs."""
        return len(self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWork:
    """What one picture gave the networks to do.

    Attributes:
        n_faces: found, each of which the classifier saw.
        pnet_sizes_wh: of each image that P-Net ran on; none where the picture was too small.
        rnet_crops, onet_crops: that R- and O-Net saw.
    """

    n_faces: int
    pnet_sizes_wh: tuple[tuple[int, int], ...]
    rnet_crops: int
    onet_crops: int

    def __post_init__(self) -> None:
        _check_not_negative(self, "n_faces", "rnet_crops", "onet_crops")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRun:
    """All pictures again and again, decoding included, as fast as they go.

    Attributes:
        photos: done.
        wall_s: for all of them.
        process_cpu: of this process meanwhile.
        energy_j: of the whole board meanwhile, or None.
    """

    photos: int
    wall_s: float
    process_cpu: CpuSeconds
    energy_j: float | None

    def __post_init__(self) -> None:
        if self.photos < 1 or self.wall_s <= 0:
            raise ValueError(f"expected photos and time above 0, found {self.photos} in {self.wall_s} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One fresh process.

    Attributes:
        cold_start_ms: from the process's start to the faces of the first picture.
        peak_memory_bytes: largest resident memory (VmHWM) of the whole process up to the end of its single stream.
        proportional_memory_bytes: PSS then; None where the kernel does not tell.
        loop_overhead_us: what the timing itself costs a run, measured on work that does nothing.
        work: for each picture of the load.
        frame: FRAME_SERIES.
        face: FACE_SERIES.
        bulk: of the scenario "offline"; None where it was not asked for.
    """

    cold_start_ms: float
    peak_memory_bytes: int
    proportional_memory_bytes: int | None
    loop_overhead_us: float
    work: tuple[FrameWork, ...]
    frame: Steady
    face: Steady
    bulk: BulkRun | None

    def __post_init__(self) -> None:
        if self.cold_start_ms < 0 or self.peak_memory_bytes < 1 or self.loop_overhead_us < 0:
            raise ValueError(
                f"expected a positive cold start and memory, found {self.cold_start_ms} ms, {self.peak_memory_bytes}"
            )
        _check_series(self.frame, FRAME_SERIES)
        _check_series(self.face, FACE_SERIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTrial:
    """A number of cameras at once, each with a pipeline in a process of its own.

    Attributes:
        n_streams: cameras.
        period_ms: from a camera's frame to its next.
        due: frames that all cameras gave together.
        dropped: frames of them that were never looked at, because a newer one was there when the pipeline was free.
        latencies_ms: for each camera, from a frame's coming to its faces, of its frames looked at, in order.
        memory_bytes: of all processes: the sum of their PSS, of their resident memory where the kernel does not tell.
        available_bytes: memory that the machine had to give before they were started; None where that is not told.
    """

    n_streams: int
    period_ms: float
    due: int
    dropped: int
    latencies_ms: tuple[tuple[float, ...], ...]
    memory_bytes: int
    available_bytes: int | None

    def __post_init__(self) -> None:
        _check_not_negative(self, "dropped", "memory_bytes")
        if self.due < 1:
            raise ValueError(f"due: expected 1 frame or more, found {self.due}")
        if self.period_ms <= 0:
            raise ValueError(f"period_ms: expected a time above 0, found {self.period_ms}")
        if self.n_streams < 1 or len(self.latencies_ms) != self.n_streams:
            raise ValueError(
                f"latencies_ms: expected those of {self.n_streams} streams, 1 or more, found {len(self.latencies_ms)}"
            )
        looked_at = sum(len(stream_ms) for stream_ms in self.latencies_ms)
        if self.dropped + looked_at != self.due:
            raise ValueError(
                f"expected {self.due} frames of {self.n_streams} streams, found {self.dropped} dropped and "
                f"{looked_at} looked at"
            )

    @property
    def holds(self) -> bool:
        """Return whether it could go on so: no frame was lost, and no camera fell behind."""
        return not self.dropped and not self.falls_behind

    @property
    def falls_behind(self) -> bool:
        """Return whether a camera's frames waited longer and longer, which ends in lost ones.

        Of the last quarter of its frames more than a tenth were ready later than the next one came, or their median was
        longer than that of the first quarter by more than half the time between two frames. What is too slow by any
        share is late with all of them; a frame that another program held up is caught up with.
        """
        return any(_lag_grows(stream_ms, self.period_ms) for stream_ms in self.latencies_ms if stream_ms)

    @property
    def most_in_memory(self) -> int | None:
        """Return how many such cameras would take at most 80 % of the memory available; None where that is not told."""
        if self.available_bytes is None or not self.memory_bytes:
            return None
        # The rest is for what the kernel and other programs come to need meanwhile; without it a board swaps or kills.
        return int(0.8 * self.available_bytes * self.n_streams / self.memory_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SustainedRun:
    """One process at work for minutes.

    Attributes:
        began_s: of the first run, in seconds since the benchmark's start.
        ended_ms: for each frame, when its faces were there, in ms since `began_s`.
        frames_ms: for each frame, how long pixels to faces took.
    """

    began_s: float
    ended_ms: tuple[float, ...]
    frames_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.ended_ms) != len(self.frames_ms) or not self.ended_ms:
            raise ValueError(f"expected as many ends as frames, found {len(self.ended_ms)} and {len(self.frames_ms)}")
        if self.ended_ms[0] <= 0 or any(after < before for before, after in pairwise(self.ended_ms)):
            raise ValueError("ended_ms: expected ascending times above 0")


def _lag_grows(latencies_ms: tuple[float, ...], period_ms: float) -> bool:
    quarter = -(-len(latencies_ms) // 4)
    first_ms, last_ms = sorted(latencies_ms[:quarter]), sorted(latencies_ms[-quarter:])
    nine_tenths_ms = last_ms[quarter - 1 - quarter // 10]
    return nine_tenths_ms > period_ms or last_ms[quarter // 2] > first_ms[quarter // 2] + period_ms / 2


def _check_series(steady: Steady, names: tuple[str, ...]) -> None:
    if set(steady.samples_ms) != set(names):
        raise ValueError(f"samples_ms: expected the series {', '.join(names)}, found {', '.join(steady.samples_ms)}")


def _check_not_negative(item: object, *names: str) -> None:
    for name in names:
        if getattr(item, name) < 0:
            raise ValueError(f"{name}: expected 0 or more, found {getattr(item, name)}")
