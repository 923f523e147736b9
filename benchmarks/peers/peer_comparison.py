"""The whole comparison: environments, the interleaved run, then what each package finds and answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from peer_cases import PeerCase
from peer_environments import Environment, make_environment, python_of_version
from peer_photos import Labelled, labelled_photos, timed_photos
from peer_record import SCHEMA, CaseResult, DetectionFigures, ExpressionFigures, PeersRecord, RunSettings
from peer_run import Measured, PeerRun, ask_labels, detect_all, measure_in_turns

from fer_edge.errors import FerEdgeError
from fer_edge.machine import machine_summary
from fer_edge_bench.detection_metrics import evaluate_detections

__all__ = ["Plan", "compare_packages"]

_HERE = Path(__file__).resolve().parent
_AT_ONCE = 2  # packages asked side by side where nothing is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to compare, and where.

    Attributes:
        cases: the packages.
        settings: of the timed run.
        environments: folder for one virtual environment each.
        pythons: interpreters that they are made with.
        data: folder with photos, wider_face and fer2013.
        n_wider_photos: labelled photos to search.
        timeout_s: for a start, and for each answer.
        progress: told in a line what is being done.
    """

    cases: Sequence[PeerCase]
    settings: RunSettings
    environments: Path
    pythons: Sequence[Path]
    data: Path
    n_wider_photos: int
    timeout_s: float
    progress: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A case at one smallest face; without an environment there is a reason, and nothing to run."""

    case: PeerCase
    min_face_px: float | None
    environment: Environment | None
    reason: str | None

    def run(self) -> PeerRun | None:
        if self.environment is None:
            return None
        return PeerRun(
            name=self.case.name,
            command=(str(self.environment.python), str(_HERE / self.case.folder / "adapter.py")),
            mode=self.case.mode,
            options=dict(self.case.options),
            min_face_px=self.min_face_px,
        )


def compare_packages(plan: Plan) -> PeersRecord:
    """Make the environments, measure in turns, judge the answers.

    Raises:
        InputError: the data is not there. A package that fails is no error: the record has its reason.
    """
    asked = _prepare(plan)
    with tempfile.TemporaryDirectory() as scratch:
        files, photos = timed_photos(plan.data / "photos", Path(scratch))
        labelled = labelled_photos(plan.data, plan.n_wider_photos, Path(scratch))
        runs = {i: run for i, one in enumerate(asked) if (run := one.run()) is not None}
        timed = measure_in_turns(
            list(runs.values()), files, plan.settings, timeout_s=plan.timeout_s, progress=plan.progress
        )
        measured = dict(zip(runs, timed, strict=True))

        def result(i: int) -> CaseResult:
            if i not in runs:
                return _result(asked[i], Measured(reason=asked[i].reason), None, None)
            return _judged(asked[i], runs[i], measured[i], labelled, files[0], plan)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            cases = tuple(pool.map(result, range(len(asked))))
    return PeersRecord(
        schema=SCHEMA,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine_summary(),
        settings=plan.settings,
        photos=photos,
        cases=cases,
    )


def _prepare(plan: Plan) -> list[_Asked]:
    plan.environments.mkdir(parents=True, exist_ok=True)
    made: dict[tuple[str, str], tuple[Environment | None, str | None]] = {}
    asked = []
    for case in plan.cases:
        key = (case.folder, case.requirements)
        if key not in made:
            plan.progress(f"environment: {case.folder}/{case.requirements}")
            made[key] = _environment(case, plan)
        environment, reason = made[key]
        for min_face_px in (plan.settings.min_face_px, None) if case.has_min_face else (None,):
            asked.append(_Asked(case=case, min_face_px=min_face_px, environment=environment, reason=reason))
    return asked


def _environment(case: PeerCase, plan: Plan) -> tuple[Environment | None, str | None]:
    requirements = _HERE / case.folder / case.requirements
    folder = plan.environments.resolve() / f"{case.folder}_{requirements.stem}"
    try:
        python = python_of_version(plan.pythons, case.python)
        return make_environment(folder, requirements, python), None
    except FerEdgeError as error:
        return None, str(error)


def _judged(asked: _Asked, run: PeerRun, measured: Measured, labelled: Labelled, photo: Path, plan: Plan) -> CaseResult:
    """Add what a run finds and how it labels; one that failed before is not asked again."""
    detection, expression = None, None
    if measured.reason is None:
        plan.progress(f"labelled photos: {run.name}")
        try:
            detection = _detection(run, labelled, plan)
            # How it labels crops has nothing to do with the smallest face: once is enough.
            if asked.case.classifies_crops and (asked.min_face_px is not None or not asked.case.has_min_face):
                expression = _expression(run, labelled, photo, plan)
        except (FerEdgeError, KeyError, TypeError, ValueError) as error:
            measured.reason = f"on labelled photos: {error}"
    return _result(asked, measured, detection, expression)


def _detection(run: PeerRun, labelled: Labelled, plan: Plan) -> DetectionFigures:
    found = detect_all(run, labelled.wider_files, plan.settings.threads, plan.timeout_s)
    report = evaluate_detections(
        {photo.name: faces for photo, faces in zip(labelled.wider, found, strict=True)},
        labelled.wider,
        min_side_px=plan.settings.min_face_px,
    )
    return DetectionFigures(
        n_photos=len(labelled.wider),
        min_side_px=plan.settings.min_face_px,
        n_faces=report.n_faces,
        found=report.true_positives,
        false_positives=report.false_positives,
    )


def _expression(run: PeerRun, labelled: Labelled, photo: Path, plan: Plan) -> ExpressionFigures:
    answers = ask_labels(run, labelled.crops, photo, plan.settings.threads, plan.timeout_s)
    right = sum(answer == label for answer, label in zip(answers, labelled.labels, strict=True))
    return ExpressionFigures(n=len(labelled.labels), n_right=right)


def _result(
    asked: _Asked, measured: Measured, detection: DetectionFigures | None, expression: ExpressionFigures | None
) -> CaseResult:
    return CaseResult(
        name=asked.case.name,
        mode=asked.case.mode,
        note=asked.case.note,
        min_face_px=asked.min_face_px,
        reason=measured.reason,
        versions=measured.versions,
        install_bytes=None if asked.environment is None else asked.environment.install_bytes,
        rounds=tuple(measured.rounds),
        detection=detection,
        expression=expression,
    )
