"""The figures that follow from a case's samples; docs/scaling.md defines each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge_bench.arithmetic import mtcnn_multiply_adds
from fer_edge_bench.samples import FrameWork
from fer_edge_bench.scaling.fits import Estimate, Line, fit_line, geometric_estimate, mean_estimate, robust_slope
from fer_edge_bench.scaling.peak import peak_precision
from fer_edge_bench.scaling.samples import MemoryRun, ScalingRound, StageSamples
from fer_edge_bench.statistics import percentile

__all__ = [
    "LEAK_BOUND_MB",
    "LEAK_FRAMES",
    "PYTHON_BOUND_PERCENT",
    "CaseFigures",
    "MemoryFigures",
    "ShareFigures",
    "StageFigures",
    "case_figures",
    "memory_figures",
    "stage_multiply_adds",
    "verdict",
]

# What the project promises: Python's share of a frame, and growth of memory over so many frames.
PYTHON_BOUND_PERCENT = 20.0
LEAK_BOUND_MB, LEAK_FRAMES = 2.0, 20000
_MMAC, _GMAC = 1e6, 1e9
_MS_PER_S = 1000.0
_MB = 1e6
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """A stage held against its engine's peak.

    Attributes:
        precision: of the variant.
        mmac: million multiply-adds of a frame, mean over the pictures; None where the bundle does not state them.
        engine_ms: of a frame inside the engine.
        gmac_per_s: achieved; None where `mmac` is.
        peak: name of the large convolution that was the fastest of the precision; None where the engine has none.
        peak_gmac_per_s: on that one, in the same processes.
        percent_of_peak: achieved over peak.
    """

    precision: str
    mmac: float | None
    engine_ms: float
    gmac_per_s: Estimate | None
    peak: str | None
    peak_gmac_per_s: Estimate | None
    percent_of_peak: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFigures:
    """A part of a frame, in percent of it: of all frames together, and of single frames the 5th and 95th percentile."""

    percent: Estimate
    frames90_percent: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFigures:
    """How resident memory grew.

    Attributes:
        kind: of the run.
        frames: analysed.
        growth_mb: from the end of the first tenth, the warm-up, to the last frame, by a robust line.
        peak_growth_mb: of VmHWM, between its readings there.
        frames_per_s: analysed, pictures decoded before.
    """

    kind: str
    frames: int
    growth_mb: float
    peak_growth_mb: float
    frames_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFigures:
    """All figures of a case.

    Attributes:
        frame_ms: a frame, pixels to faces: mean over the pictures of each one's median.
        floor_ms: what the multiply-adds of a frame would take at the peak of each stage's precision; None where one of
            the two is unknown.
        times_floor: `frame_ms` over `floor_ms`.
        stages: by name.
        engine, opencv, python: shares of a frame.
        opencv_calls: of a frame, mean.
        clock_percent: what the clocks around OpenCV's calls added to a frame at most, in percent of it.
        faces: ms a frame against faces found.
        rnet, onet: ms of the part against the crops that the network saw.
        pixels: ms a frame against millions of pixels.
        memory: of each run.
    """

    frame_ms: Estimate
    floor_ms: Estimate | None
    times_floor: Estimate | None
    stages: Mapping[str, StageFigures]
    engine: ShareFigures
    opencv: ShareFigures
    python: ShareFigures
    opencv_calls: float
    clock_percent: float
    faces: Line
    rnet: Line
    onet: Line
    pixels: Line
    memory: tuple[MemoryFigures, ...]


def stage_multiply_adds(work: FrameWork, classifier: int | None) -> dict[str, int | None]:
    """Return the multiply-adds of a frame by stage.

    Args:
        work: what the frame gave the networks to do.
        classifier: multiply-adds for one face; None where the bundle does not state them.
    """
    return {
        "pnet": mtcnn_multiply_adds(dataclasses.replace(work, rnet_crops=0, onet_crops=0)),
        "rnet": mtcnn_multiply_adds(dataclasses.replace(work, pnet_sizes_wh=(), onet_crops=0)),
        "onet": mtcnn_multiply_adds(dataclasses.replace(work, pnet_sizes_wh=(), rnet_crops=0)),
        "classifier": None if classifier is None else classifier * work.n_faces,
    }


def case_figures(
    rounds: Sequence[ScalingRound],
    memory: Sequence[MemoryRun],
    precisions: Mapping[str, str],
    classifier_multiply_adds: int | None,
    peak_multiply_adds: Mapping[str, int],
) -> CaseFigures:
    """Return what follows from samples.

    Args:
        rounds: one for each fresh process, at least one.
        memory: runs of it.
        precisions: of each stage.
        classifier_multiply_adds: for one face; None where the bundle does not state them.
        peak_multiply_adds: of the large convolutions, by name and precision.

    Raises:
        ValueError: there are no samples, or they do not fit each other.
    """
    adds = [_mean_multiply_adds(one.stages, classifier_multiply_adds) for one in rounds]
    stages = {
        name: _stage(name, rounds, [each[name] for each in adds], precisions[name], peak_multiply_adds)
        for name in STAGE_NAMES
    }
    frames_ms = [_mean_of_medians(one.stages, one.stages.frame_ms) for one in rounds]
    floors_ms = [_floor_ms(each, one, precisions, peak_multiply_adds) for each, one in zip(adds, rounds, strict=True)]
    known_ms = [floor for floor in floors_ms if floor]
    has_floor = len(known_ms) == len(rounds)
    splits = [one.split for one in rounds]
    calls = [count for split in splits for count in split.opencv_calls]
    wrapped_ms = math.fsum(math.fsum(split.frame_ms) for split in splits)
    clocks_ms = math.fsum(split.clock_us * sum(split.opencv_calls) / 1000 for split in splits)
    crowds = [one.crowd for one in rounds]
    works = [point.work for point in crowds[0]]
    return CaseFigures(
        frame_ms=geometric_estimate(frames_ms),
        floor_ms=geometric_estimate(known_ms) if has_floor else None,
        times_floor=geometric_estimate([frame / floor for frame, floor in zip(frames_ms, known_ms, strict=True)])
        if has_floor
        else None,
        stages=stages,
        engine=_share([list(zip(split.engine_ms, split.frame_ms, strict=True)) for split in splits]),
        opencv=_share([list(zip(split.opencv_ms, split.frame_ms, strict=True)) for split in splits]),
        python=_share(
            [
                [
                    (frame - engine - opencv, frame)
                    for frame, engine, opencv in zip(split.frame_ms, split.engine_ms, split.opencv_ms, strict=True)
                ]
                for split in splits
            ]
        ),
        opencv_calls=round(sum(calls) / len(calls), _DIGITS),
        clock_percent=round(100 * clocks_ms / wrapped_ms, _DIGITS) if wrapped_ms else 0.0,
        faces=fit_line([work.n_faces for work in works], [[point.frame_ms for point in crowd] for crowd in crowds]),
        rnet=fit_line([work.rnet_crops for work in works], [[point.rnet_ms for point in crowd] for crowd in crowds]),
        onet=fit_line([work.onet_crops for work in works], [[point.onet_ms for point in crowd] for crowd in crowds]),
        pixels=fit_line(
            [point.megapixels for point in rounds[0].pixels],
            [[point.frame_ms for point in one.pixels] for one in rounds],
        ),
        memory=tuple(memory_figures(run) for run in memory),
    )


def memory_figures(run: MemoryRun) -> MemoryFigures:
    """Return how a run's memory grew."""
    first = run.first_after_warm_up
    at_frame, resident = run.at_frame[first:], run.resident_bytes[first:]
    slope = robust_slope(at_frame, resident) if len(at_frame) > 1 else 0.0
    return MemoryFigures(
        kind=run.kind,
        frames=run.frames,
        growth_mb=round(slope * (at_frame[-1] - at_frame[0]) / _MB, _DIGITS),
        peak_growth_mb=round((run.peak_bytes[-1] - run.peak_bytes[first]) / _MB, _DIGITS),
        frames_per_s=round(run.frames / run.wall_s, _DIGITS) if run.wall_s else 0.0,
    )


def verdict(estimate: Estimate, bound: float) -> str:
    """Return "met" or "missed" where the whole interval is on one side of a bound that is not to be passed."""
    low, high = estimate.interval95 or (estimate.value, estimate.value)
    return "met" if high <= bound else "missed" if low > bound else "cannot tell"


def _stage(
    name: str,
    rounds: Sequence[ScalingRound],
    adds: Sequence[float | None],
    precision: str,
    peak_multiply_adds: Mapping[str, int],
) -> StageFigures:
    engines_ms = [_mean_of_medians(one.stages, one.stages.engine_ms[name]) for one in rounds]
    rates = [count / ms * _MS_PER_S / _GMAC for count, ms in zip(adds, engines_ms, strict=True) if count and ms]
    peaks = [_peak(one.stages, precision, peak_multiply_adds) for one in rounds]
    names = [peak[1] for peak in peaks if peak]
    peak_rates = [peak[0] for peak in peaks if peak]
    is_whole = len(rates) == len(peak_rates) == len(rounds)
    known = [count for count in adds if count is not None]
    return StageFigures(
        precision=precision,
        mmac=round(math.fsum(known) / len(known) / _MMAC, _DIGITS) if known else None,
        engine_ms=round(math.fsum(engines_ms) / len(engines_ms), _DIGITS),
        gmac_per_s=geometric_estimate(rates) if len(rates) == len(rounds) else None,
        # Where the rounds disagree, the name that most of them say.
        peak=max(sorted(set(names)), key=names.count) if names else None,
        peak_gmac_per_s=geometric_estimate(peak_rates) if len(peak_rates) == len(rounds) else None,
        percent_of_peak=geometric_estimate([100 * r / p for r, p in zip(rates, peak_rates, strict=True)])
        if is_whole
        else None,
    )


def _peak(stages: StageSamples, precision: str, peak_multiply_adds: Mapping[str, int]) -> tuple[float, str] | None:
    """Return GMAC/s and name of the convolution that is the fastest of a precision; None where there is none."""
    wanted = peak_precision(precision)
    rates = [
        (peak_multiply_adds[name] / _median(samples) * _MS_PER_S / _GMAC, name)
        for name, samples in stages.peak_ms.items()
        if name.split()[-1] == wanted and _median(samples) > 0
    ]
    return max(rates, default=None)


def _floor_ms(
    adds: Mapping[str, float | None], one: ScalingRound, precisions: Mapping[str, str], peaks: Mapping[str, int]
) -> float | None:
    total = 0.0
    for name in STAGE_NAMES:
        count, peak = adds[name], _peak(one.stages, precisions[name], peaks)
        if count is None or peak is None:
            return None
        total += _MS_PER_S * count / (peak[0] * _GMAC)
    return total


def _mean_multiply_adds(stages: StageSamples, classifier: int | None) -> dict[str, float | None]:
    counts = [stage_multiply_adds(work, classifier) for work in stages.work]
    means: dict[str, float | None] = {}
    for name in STAGE_NAMES:
        known = [count[name] for count in counts]
        numbers = [number for number in known if number is not None]
        means[name] = sum(numbers) / len(numbers) if len(numbers) == len(known) else None
    return means


def _mean_of_medians(stages: StageSamples, samples: Sequence[float]) -> float:
    """Return the mean over the pictures of each one's median: what counts the multiply-adds counts them so too."""
    by_picture: dict[int, list[float]] = {}
    for picture, sample in zip(stages.inputs, samples, strict=True):
        by_picture.setdefault(picture, []).append(sample)
    return math.fsum(_median(values) for values in by_picture.values()) / len(by_picture)


def _share(processes: Sequence[Sequence[tuple[float, float]]]) -> ShareFigures:
    """Return the figures of parts and wholes of each process's frames."""
    shares = [
        100 * math.fsum(part for part, _ in pairs) / math.fsum(whole for _, whole in pairs) for pairs in processes
    ]
    single = [100 * part / whole for pairs in processes for part, whole in pairs]
    return ShareFigures(
        percent=mean_estimate(shares),
        frames90_percent=(round(percentile(single, 5), _DIGITS), round(percentile(single, 95), _DIGITS)),
    )


def _median(samples: Sequence[float]) -> float:
    return percentile(samples, 50)
