"""What one fresh process measures: raw samples, processor time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FRAME_SERIES", "PhotoSamples", "Round", "Steady"]

# The whole frame is timed from outside; what remains besides detection and classification is the pipeline's own.
FRAME_SERIES = ("frame", "detect", "classify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """A repeated piece of work, after its warm-up.

    Attributes:
        warm_up_runs: untimed runs before.
        settled: the warm-up ended because the time no longer changed, not because its bound was reached.
        wall_s, cpu_user_s, cpu_system_s: of all timed runs together; processor time counts every thread.
        samples_ms: one duration for each run, in order, by series.
    """

    warm_up_runs: int
    settled: bool
    wall_s: float
    cpu_user_s: float
    cpu_system_s: float
    samples_ms: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for name in ("warm_up_runs", "wall_s", "cpu_user_s", "cpu_system_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, found {getattr(self, name)}")
        lengths = {len(series) for series in self.samples_ms.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"samples_ms: expected series of one length, at least 1; found {sorted(lengths)}")
        for name, series in self.samples_ms.items():
            if min(series) < 0:
                raise ValueError(f"samples_ms, {name}: expected 0 or more, found {min(series)}")

    @property
    def runs(self) -> int:
        """Return the number of timed runs."""
        return len(next(iter(self.samples_ms.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSamples:
    """What was measured on one photo.

    Attributes:
        size_wh: width and height in pixels, as decoded.
        n_faces: found in it.
        decode: series "decode": the file's bytes to pixels.
        frame: FRAME_SERIES: pixels to faces.
    """

    size_wh: tuple[int, int]
    n_faces: int
    decode: Steady
    frame: Steady

    def __post_init__(self) -> None:
        if min(self.size_wh) < 1 or self.n_faces < 0:
            raise ValueError(f"expected a size of 1 or more and 0 or more faces, found {self.size_wh}, {self.n_faces}")
        _check_series(self.decode, ("decode",))
        _check_series(self.frame, FRAME_SERIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One fresh process.

    Attributes:
        cold_start_ms: from the process's start to the faces of the first photo.
        peak_memory_bytes: largest resident memory (VmHWM), of the whole process, at its end.
        proportional_memory_bytes: PSS at its end; None where the kernel does not tell.
        face: series "face": the classifier alone on one face.
        photos: in the order they were given.
    """

    cold_start_ms: float
    peak_memory_bytes: int
    proportional_memory_bytes: int | None
    face: Steady
    photos: tuple[PhotoSamples, ...]

    def __post_init__(self) -> None:
        if self.cold_start_ms < 0 or self.peak_memory_bytes < 1:
            raise ValueError(
                f"expected a positive cold start and memory, found {self.cold_start_ms} ms, {self.peak_memory_bytes}"
            )
        if not self.photos:
            raise ValueError("photos: expected at least one, found none")
        _check_series(self.face, ("face",))


def _check_series(steady: Steady, names: tuple[str, ...]) -> None:
    if set(steady.samples_ms) != set(names):
        raise ValueError(f"samples_ms: expected the series {', '.join(names)}, found {', '.join(steady.samples_ms)}")
