"""Runs the cases of a benchmark in turns, each in a fresh process, and makes the record of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from fer_edge import __version__
from fer_edge.bundle import Bundle
from fer_edge.files import sha256_hex, sha256_of_file
from fer_edge.images import check_is_file
from fer_edge.machine import machine_summary, memory_total_bytes, package_versions
from fer_edge_bench.plan import PlannedCase
from fer_edge_bench.record import SCHEMA, BenchRecord, BundleIdentity, Case, PhotoIdentity, Settings, StageFile
from fer_edge_bench.summary import summarize_case
from fer_edge_bench.worker import WorkerAnswer, WorkerJob, measure_in_fresh_process

__all__ = ["identify_photo", "measure_cases"]

_PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino")


def identify_photo(path: Path) -> PhotoIdentity:
    """Return a photo's name, length and digest.

    Raises:
        InputError: it is not a file with something in it.
    """
    check_is_file(path)
    return PhotoIdentity(name=path.name, bytes=path.stat().st_size, sha256=sha256_of_file(path))


def measure_cases(
    bundle: Bundle,
    cases: Sequence[PlannedCase],
    photos: Sequence[Path],
    settings: Settings,
    *,
    progress: Callable[[str], None],
    measure: Callable[[WorkerJob], WorkerAnswer] = measure_in_fresh_process,
) -> BenchRecord:
    """Measure every case once a round, the cases taking turns: A B C A B C.

    What changes with time, heat above all, then meets all cases alike.

    Args:
        bundle: the models.
        cases: what to measure, at least one.
        photos: at least one.
        settings: of all cases.
        progress: told in a line what is being measured.
        measure: does one round of one case.

    Raises:
        InputError: a photo cannot be used.
        FerEdgeError: a case failed.
    """
    identities = tuple(identify_photo(path) for path in photos)
    answers: list[list[WorkerAnswer]] = [[] for _ in cases]
    for number in range(settings.rounds):
        for case, collected in zip(cases, answers, strict=True):
            progress(f"round {number + 1} of {settings.rounds}: {case.engine} {case.precision}")
            collected.append(measure(_job(bundle, case, photos, settings)))
    manifest = bundle.manifest
    return BenchRecord(
        schema=SCHEMA,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine_summary(),
        versions={"fer-edge": __version__, **package_versions(_PACKAGES)},
        bundle=BundleIdentity(
            name=manifest.name, version=manifest.version, manifest_sha256=sha256_hex(bundle.manifest_bytes)
        ),
        photos=identities,
        settings=settings,
        cases=tuple(_case(case, collected) for case, collected in zip(cases, answers, strict=True)),
    )


def _job(bundle: Bundle, case: PlannedCase, photos: Sequence[Path], settings: Settings) -> WorkerJob:
    return WorkerJob(
        started_s=time.monotonic(),
        bundle=str(bundle.path.resolve()),
        photos=tuple(str(path.resolve()) for path in photos),
        engine=case.engine,
        precision=case.precision,
        threads=settings.threads,
        runs=settings.runs,
        min_face_px=settings.min_face_px,
    )


def _case(case: PlannedCase, answers: Sequence[WorkerAnswer]) -> Case:
    rounds = tuple(answer.measured for answer in answers)
    return Case(
        engine=case.engine,
        engine_version=answers[0].engine_version,
        precision=case.precision,
        stages={
            name: StageFile(precision=variant.precision, bytes=sum(entry.bytes for entry in variant.files()))
            for name, variant in case.variants.items()
        },
        summary=summarize_case(rounds, memory_total_bytes()),
        rounds=rounds,
    )
