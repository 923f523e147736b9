"""What is said of a record: a headline or why there is none, circumstances and remarks, in no form yet."""

from __future__ import annotations

from collections.abc import Sequence

from fer_edge_bench.circumstances import doubts
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.report.figures import amount, interval, mb, ms

__all__ = [
    "best_case",
    "circumstance_lines",
    "headline_text",
    "remarks",
    "rounds_done",
    "warnings",
]


def best_case(record: BenchRecord) -> Case | None:
    """Return the case with the fastest frame of those without doubts; None where there is none."""
    trusted = [case for case in record.cases if not doubts(record, case)]
    return min(trusted, key=lambda case: case.summary.frame["frame"].p50_ms, default=None)


def headline_text(record: BenchRecord) -> str:
    """Return the best case in one line, or that nothing measured deserves one and what to do."""
    case = best_case(record)
    if case is not None:
        frame = case.summary.frame["frame"]
        return (
            f"{case.name}: {ms(frame.p50_ms)} ms a frame (95 % interval {interval(frame)}), "
            f"{case.summary.frames_per_s:.1f} frames/s, {mb(case.summary.peak_memory_bytes)} MB at its peak"
        )
    return f"no headline: no case can be trusted; {_advice(record)}, and measure again"


def warnings(record: BenchRecord) -> list[str]:
    """Return what makes figures worth less, each reason once with the cases that it meets; first what was left out."""
    said: list[str] = []
    if record.partial:
        said.append(f"interrupted: {rounds_done(record)}; what had been measured is shown")
    said += [f"failed, {failure.case}, {failure.step}: {failure.error}" for failure in record.failures]
    reasons: dict[str, list[str]] = {}
    for case in record.cases:
        for reason in doubts(record, case):
            reasons.setdefault(reason, []).append(case.name)
    # What meets most cases first.
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        said.append(f"unstable, {_all_or_some(names, record)}: {reason}")
    return said


def rounds_done(record: BenchRecord) -> str:
    """Return in a few words how far an interrupted benchmark came."""
    wanted = record.settings.rounds
    done = [len(case.rounds) for case in record.cases]
    if min(done) == wanted:
        return "some cases or scenarios are missing"
    some = f"{min(done)}" if min(done) == max(done) else f"{min(done)} to {max(done)}"
    return f"{some} of {wanted} rounds were measured"


def remarks(record: BenchRecord) -> list[str]:
    """Return what else a reader may want to know: sensors that may not be read, and what measuring cost."""
    said = [f"sensor not read: {line}" for line in record.circumstances.denied]
    said.append(
        f"measuring took {record.harness.watching_percent:.2f} % of one core beside the cases and added at most "
        f"{record.harness.timing_percent:.3f} % to a frame"
    )
    return said


def circumstance_lines(record: BenchRecord) -> list[tuple[str, str]]:
    """Return what was measured, on what and under which circumstances: labels and texts."""
    machine, settings, around = record.machine, record.settings, record.circumstances
    before, after = around.before, around.after
    features = ", ".join(machine.int8_features) or "none that speeds up int8"
    governors = ", ".join(dict.fromkeys(before.governors.values())) or "not told"
    scenarios = ", ".join(("single stream", *settings.scenarios))
    return [
        ("board", f"{machine.model} ({machine.board})"),
        ("processor", f"{machine.cpu}, {_count(machine.cores, 'core')}, {machine.architecture}; int8: {features}"),
        ("memory", f"{machine.memory_bytes / 1e9:.1f} GB"),
        ("system", f"{machine.system}, Python {machine.python}"),
        ("temperature", _before_after(before.hottest_c, after.hottest_c, "°C", 1, "no sensor")),
        ("clock", _clock_text(record)),
        ("governor", governors),
        ("held back", _throttling_text(record)),
        ("load", _load_text(record)),
        ("bundle", _bundle_text(record)),
        ("pictures", _pictures_text(record)),
        (
            "samples",
            f"{_count(settings.rounds, 'fresh process', 'es')} x {_count(settings.runs, 'run')} of each series; "
            f"threads: {', '.join(map(str, settings.threads))}; {scenarios}",
        ),
        ("libraries", ", ".join(f"{name} {version}" for name, version in record.versions.items()) or "not told"),
        ("measured", record.created_utc),
    ]


def _advice(record: BenchRecord) -> str:
    advice = ["close other programs"]
    if record.circumstances.throttled is not None:
        advice.append("check the board's power supply")
    return ", ".join([*advice, "let the board cool"])


def _all_or_some(names: Sequence[str], record: BenchRecord) -> str:
    return "all cases" if 1 < len(names) == len(record.cases) else ", ".join(names)


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{'' if number == 1 else plural}"


def _before_after(before: float | None, after: float | None, unit: str, digits: int, missing: str) -> str:
    if before is None and after is None:
        return missing
    return f"{amount(before, digits)} {unit} before, {amount(after, digits)} {unit} after"


def _clock_text(record: BenchRecord) -> str:
    before, after = record.circumstances.before, record.circumstances.after
    first_mhz, last_mhz = (max(moment.clocks_mhz.values(), default=None) for moment in (before, after))
    text = _before_after(first_mhz, last_mhz, "MHz", 0, "not told")
    return text if before.max_clock_mhz is None else f"{text}, of {before.max_clock_mhz:.0f} MHz at most"


def _throttling_text(record: BenchRecord) -> str:
    around = record.circumstances
    if around.throttled is not None:
        return f"yes: {around.throttled}"
    return "no" if around.after.throttling is not None else "the board does not tell"


def _load_text(record: BenchRecord) -> str:
    around = record.circumstances
    busy = "not told" if around.busy_percent is None else f"{around.busy_percent:.1f} % of all cores"
    waiting = "not told" if around.load_average is None else f"{around.load_average:.2f}"
    return f"other programs took {busy} before the start; load average {waiting}"


def _bundle_text(record: BenchRecord) -> str:
    bundle = record.bundle
    classifier = "" if bundle.classifier is None else f", classifier {bundle.classifier}"
    return f"{bundle.name} {bundle.version}{classifier}, manifest {bundle.manifest_sha256[:16]}"


def _pictures_text(record: BenchRecord) -> str:
    """Return how many pictures there were, of which size and with how many faces."""
    sizes = dict.fromkeys(picture.size_wh for picture in record.load)
    named = ", ".join(picture.name for picture in record.load) if len(record.load) <= 2 else f"{len(record.load)}"
    text = f"{named} of {', '.join(f'{width} x {height}' for width, height in sizes)}"
    # All cases look at the same pictures; where engines differ in a face, the first one is told of.
    faces = [work.n_faces for work in record.cases[0].rounds[0].work]
    some = f"{min(faces)}" if min(faces) == max(faces) else f"{min(faces)} to {max(faces)}"
    text += f", {some} {'face' if some == '1' else 'faces'} in {'it' if len(faces) == 1 else 'each'}"
    return f"{text}; smallest face looked for {record.settings.min_face_px:g} px"
