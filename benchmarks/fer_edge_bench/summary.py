"""The figures of a case, which follow from its raw samples and the machine's memory alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_edge_bench.samples import FACE_SERIES, FRAME_SERIES, CpuSeconds, Round, Steady, StreamTrial, SustainedRun
from fer_edge_bench.statistics import UNSTABLE_SPREAD, SeriesSummary, percentile, summarize

__all__ = [
    "BulkSummary",
    "CaseSummary",
    "CpuShare",
    "StreamsSummary",
    "SustainedSummary",
    "cpu_share",
    "summarize_case",
]

# The machine of the paper whose "3.1 % of 16 GB" is compared with. 10^9 bytes a GB: the stricter reading.
_COMPARED_MEMORY_BYTES = 16 * 10**9
_DIGITS = 4
# Of a sustained run, what is compared: its first and its last part, at most a minute each.
_END_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuShare:
    """Processor time while frames were analysed, in percent of one core's time: above 100 where several worked."""

    user_percent: float
    system_percent: float

    @property
    def percent(self) -> float:
        """Return both together."""
        return self.user_percent + self.system_percent


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSummary:
    """All pictures as fast as they go, decoding included.

    Attributes:
        photos_per_s: over all rounds.
        slowest_per_s, fastest_per_s: of a round.
        energy_mj: of the whole board for each photo; None without a sensor.
    """

    photos_per_s: float
    slowest_per_s: float
    fastest_per_s: float
    energy_mj: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsSummary:
    """Cameras at once.

    Attributes:
        most_streams: the largest number that held each time it was tried (StreamTrial.holds), and below which none
            failed; 0 where even one did.
        limited_by: why it is no larger: "frames lost" or "falling behind" with one camera more, "memory", or "number
            tried", where nothing else stopped the search. None where it was interrupted.
        next_dropped_percent: of the frames of the smallest number that failed, 0 where it only fell behind; None where
            none failed.
        p90_ms: from a frame's coming to its faces, with `most_streams`; None for 0.
        memory_bytes: of all processes then, the most of its trials; None for 0.
    """

    most_streams: int
    limited_by: str | None
    next_dropped_percent: float | None
    p90_ms: float | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SustainedSummary:
    """Minutes of work.

    Attributes:
        duration_s: from the first frame's start to the last one's end.
        frames: done.
        first_p50_ms, last_p50_ms: median of a frame in the first and in the last minute (or half, of a shorter run).
        slowdown: last over first.
        p99_ms: over all.
    """

    duration_s: float
    frames: int
    first_p50_ms: float
    last_p50_ms: float
    slowdown: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSummary:
    """A case's figures over all rounds.

    Attributes:
        cold_start_p50_ms, cold_start_min_ms, cold_start_max_ms: over the rounds, from a process's start to the first
            picture's faces.
        peak_memory_bytes: the largest of the rounds (VmHWM).
        proportional_memory_bytes: the largest PSS; None where the kernel does not tell.
        memory_percent: the peak as a share of the machine's memory.
        memory_percent_of_16_gb: that as a share of 16 * 10^9 bytes.
        frame: figures of each of FRAME_SERIES.
        face: figures of each of FACE_SERIES.
        frames_per_s, faces_per_s: 1 / mean of pixels to faces, and of the classifier alone.
        process_cpu: of the process, while pictures were decoded and analysed.
        machine_cpu: of everything that ran then; None where the system does not tell.
        energy_mj_per_frame: of the whole board; None without a sensor.
        settled: the warm-up of every round ended because the time no longer changed.
        unstable_because: why the figures deserve no headline; None where they do. What the circumstances say comes on
            top of it.
        bulk, streams, sustained: of the scenarios; None where not asked for.
    """

    cold_start_p50_ms: float
    cold_start_min_ms: float
    cold_start_max_ms: float
    peak_memory_bytes: int
    proportional_memory_bytes: int | None
    memory_percent: float
    memory_percent_of_16_gb: float
    frame: Mapping[str, SeriesSummary]
    face: Mapping[str, SeriesSummary]
    frames_per_s: float
    faces_per_s: float
    process_cpu: CpuShare
    machine_cpu: CpuShare | None
    energy_mj_per_frame: float | None
    settled: bool
    unstable_because: str | None
    bulk: BulkSummary | None
    streams: StreamsSummary | None
    sustained: SustainedSummary | None


def summarize_case(
    rounds: Sequence[Round],
    stream_trials: Sequence[StreamTrial],
    sustained: SustainedRun | None,
    machine_memory_bytes: int,
) -> CaseSummary:
    """Return the figures of what was measured, the samples of all rounds taken together.

    Raises:
        ValueError: there is no round.
    """
    if not rounds:
        raise ValueError("rounds: expected at least one, found none")
    cold_ms = [measured.cold_start_ms for measured in rounds]
    peak_bytes = max(measured.peak_memory_bytes for measured in rounds)
    shares = [measured.proportional_memory_bytes for measured in rounds]
    frames = [measured.frame for measured in rounds]
    frame = {name: _series(frames, name) for name in FRAME_SERIES}
    face = {name: _series([measured.face for measured in rounds], name) for name in FACE_SERIES}
    return CaseSummary(
        cold_start_p50_ms=round(percentile(cold_ms, 50), _DIGITS),
        cold_start_min_ms=min(cold_ms),
        cold_start_max_ms=max(cold_ms),
        peak_memory_bytes=peak_bytes,
        proportional_memory_bytes=None if None in shares else max(share for share in shares if share is not None),
        memory_percent=round(100 * peak_bytes / machine_memory_bytes, _DIGITS),
        memory_percent_of_16_gb=round(100 * peak_bytes / _COMPARED_MEMORY_BYTES, _DIGITS),
        frame=frame,
        face=face,
        frames_per_s=_per_second(frame["frame"]),
        faces_per_s=_per_second(face["face"]),
        process_cpu=cpu_share(frames, [part.process_cpu for part in frames])
        or CpuShare(user_percent=0, system_percent=0),
        machine_cpu=cpu_share(frames, [part.machine_cpu for part in frames]),
        energy_mj_per_frame=_energy_mj([(part.energy_j, part.runs) for part in frames]),
        settled=all(part.settled for measured in rounds for part in (measured.frame, measured.face)),
        unstable_because=_instability(frame["frame"], face["face"]),
        bulk=_summarize_bulk(rounds),
        streams=_summarize_streams(stream_trials) if stream_trials else None,
        sustained=None if sustained is None else _summarize_sustained(sustained),
    )


def _series(parts: Sequence[Steady], name: str) -> SeriesSummary:
    return summarize([part.samples_ms[name] for part in parts], [part.inputs for part in parts])


def _instability(frame: SeriesSummary, face: SeriesSummary) -> str | None:
    for what, series in (("a frame", frame), ("a face", face)):
        if series.unstable:
            return (
                f"the slowest tenth of the runs of {what} took {100 * series.spread:.0f} % longer than the median "
                f"(at most {100 * UNSTABLE_SPREAD:.0f} % is stable)"
            )
    return None


def cpu_share(parts: Sequence[Steady], times: Sequence[CpuSeconds | None]) -> CpuShare | None:
    """Return processor time over wall time of some pieces of work; None where one's is not known or took no time."""
    wall_s = math.fsum(part.ended_s - part.began_s for part in parts)
    known = [time for time in times if time is not None]
    if wall_s <= 0 or len(known) < len(times):
        return None
    return CpuShare(
        user_percent=round(100 * math.fsum(time.user_s for time in known) / wall_s, _DIGITS),
        system_percent=round(100 * math.fsum(time.system_s for time in known) / wall_s, _DIGITS),
    )


def _energy_mj(parts: Sequence[tuple[float | None, int]]) -> float | None:
    """Return mJ for each piece of work; parts are the energy in J and the number of pieces of each round."""
    known = [energy_j for energy_j, _ in parts if energy_j is not None]
    if len(known) < len(parts):
        return None
    return round(1000 * math.fsum(known) / sum(count for _, count in parts), _DIGITS)


def _per_second(series: SeriesSummary) -> float:
    # A clock too coarse for the work gives 0; a rate cannot be told from that.
    return round(1000 / series.mean_ms, _DIGITS) if series.mean_ms > 0 else 0.0


def _summarize_bulk(rounds: Sequence[Round]) -> BulkSummary | None:
    runs = [measured.bulk for measured in rounds if measured.bulk is not None]
    if len(runs) < len(rounds):
        return None
    rates = [run.photos / run.wall_s for run in runs]
    return BulkSummary(
        photos_per_s=round(sum(run.photos for run in runs) / math.fsum(run.wall_s for run in runs), _DIGITS),
        slowest_per_s=round(min(rates), _DIGITS),
        fastest_per_s=round(max(rates), _DIGITS),
        energy_mj=_energy_mj([(run.energy_j, run.photos) for run in runs]),
    )


def _summarize_streams(trials: Sequence[StreamTrial]) -> StreamsSummary:
    failed = min((trial for trial in trials if not trial.holds), key=lambda trial: trial.n_streams, default=None)
    # A number that was tried twice holds only if it held each time.
    held = [trial for trial in trials if failed is None or trial.n_streams < failed.n_streams]
    most = max((trial.n_streams for trial in held), default=0)
    best = [trial for trial in held if trial.n_streams == most]
    latencies_ms = [latency_ms for trial in best for stream_ms in trial.latencies_ms for latency_ms in stream_ms]
    return StreamsSummary(
        most_streams=most,
        limited_by=_stream_limit(trials[-1], failed, most, len(best)),
        next_dropped_percent=None if failed is None else round(100 * failed.dropped / failed.due, _DIGITS),
        p90_ms=round(percentile(latencies_ms, 90), _DIGITS) if best else None,
        memory_bytes=max((trial.memory_bytes for trial in best), default=None),
    )


def _stream_limit(last: StreamTrial, failed: StreamTrial | None, most: int, times_held: int) -> str | None:
    """Return why no more streams are held; None where the search was not at its end."""
    if (most and times_held < 2) or (failed is not None and failed.n_streams > most + 1):
        return None
    if failed is not None:
        return "frames lost" if failed.dropped else "falling behind"
    fit = last.most_in_memory
    return "memory" if fit is not None and fit <= most else "number tried"


def _summarize_sustained(run: SustainedRun) -> SustainedSummary:
    total_ms = run.ended_ms[-1]
    part_ms = min(1000 * _END_S, total_ms / 2)
    pairs = list(zip(run.ended_ms, run.frames_ms, strict=True))
    first = [frame_ms for ended_ms, frame_ms in pairs if ended_ms <= part_ms] or [run.frames_ms[0]]
    last = [frame_ms for ended_ms, frame_ms in pairs if ended_ms > total_ms - part_ms]
    first_p50, last_p50 = percentile(first, 50), percentile(last, 50)
    return SustainedSummary(
        duration_s=round(total_ms / 1000, _DIGITS),
        frames=len(run.frames_ms),
        first_p50_ms=round(first_p50, _DIGITS),
        last_p50_ms=round(last_p50, _DIGITS),
        slowdown=round(last_p50 / first_p50, _DIGITS) if first_p50 > 0 else 1.0,
        p99_ms=round(percentile(run.frames_ms, 99), _DIGITS),
    )
