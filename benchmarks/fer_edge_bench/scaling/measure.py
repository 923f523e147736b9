"""Measures the cases in turns, each round of each in a fresh process, and makes the record of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from fer_edge import __version__
from fer_edge.bundle import Bundle
from fer_edge.errors import IntegrityError
from fer_edge.machine import package_versions
from fer_edge_bench.circumstances import busy_percent
from fer_edge_bench.cores import choose_cores
from fer_edge_bench.harness import costs_of_stages, identify_bundle, identify_machine
from fer_edge_bench.load import LoadFrame
from fer_edge_bench.plan import PlannedCase
from fer_edge_bench.record import case_name
from fer_edge_bench.scaling.figures import case_figures
from fer_edge_bench.scaling.memory_worker import MemoryJob, start_memory
from fer_edge_bench.scaling.peak import read_peak_models
from fer_edge_bench.scaling.record import SCHEMA, ScalingCase, ScalingRecord, ScalingSettings
from fer_edge_bench.scaling.samples import MEMORY_KINDS, MemoryRun, ScalingRound
from fer_edge_bench.scaling.worker import ScalingAnswer, ScalingJob, start_scaling
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_devices.system_tree import SystemTree

__all__ = ["check_crowd", "measure_scaling"]

_PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino")


@dataclass(slots=True)
class _Measured:
    """What is known of a case so far."""

    case: PlannedCase
    name: str
    answers: list[ScalingAnswer] = field(default_factory=list)
    memory: list[MemoryRun] = field(default_factory=list)

    @property
    def rounds(self) -> tuple[ScalingRound, ...]:
        return tuple(answer.measured for answer in self.answers)


def measure_scaling(
    bundle: Bundle,
    cases: Sequence[PlannedCase],
    load: Sequence[LoadFrame],
    settings: ScalingSettings,
    *,
    progress: Callable[[float, float, str], None],
    tree: SystemTree | None = None,
) -> ScalingRecord:
    """Measure every case once a round, the cases taking turns, then the memory of each.

    Args:
        bundle: the models.
        cases: at least one.
        load: the pictures, at least one.
        settings: of all cases.
        progress: told how many of how many processes are done, and what is being measured.
        tree: of the system.

    Raises:
        IntegrityError: a bundle's detector finds as many faces, or looks at as many crops, in each of the crowds.
        FerEdgeError: a case failed.
    """
    tree = tree or SystemTree()
    machine, identity = identify_machine(tree), identify_bundle(bundle)
    busy = busy_percent(tree)
    cores = choose_cores(sorted(os.sched_getaffinity(0)), settings.threads, tree)
    measured = [_Measured(case=case, name=case_name(case.engine, case.precision, settings.threads)) for case in cases]
    total, done = len(measured) * (settings.rounds + len(MEMORY_KINDS)), 0

    def job_of(one: _Measured) -> PipelineJob:
        return PipelineJob(
            name=one.name,
            bundle=str(bundle.path.resolve()),
            pictures=tuple(str(frame.path) for frame in load),
            engine=one.case.engine,
            precision=one.case.precision,
            threads=settings.threads,
            stages=None,
            cores=cores,
            min_face_px=settings.min_face_px,
            started_s=time.monotonic(),
        )

    for number in range(settings.rounds):
        for one in measured:
            progress(done, total, f"{one.name}, round {number + 1} of {settings.rounds}")
            job = ScalingJob(pipeline=job_of(one), passes=settings.passes, descending=number % 2 == 1)
            with start_scaling(job) as process:
                answer = process.answer(ScalingAnswer)
            check_crowd(one.name, answer.measured)
            one.answers.append(answer)
            done += 1
    for kind in MEMORY_KINDS:
        for one in measured:
            progress(done, total, f"{one.name}, memory of the {kind}")
            with start_memory(MemoryJob(pipeline=job_of(one), kind=kind, frames=settings.frames)) as process:
                one.memory.append(process.answer(MemoryRun))
            done += 1
    classifier = costs_of_stages(bundle.manifest.provenance)["classifier"][1]
    return ScalingRecord(
        schema=SCHEMA,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine,
        versions={"fer-edge": __version__, **package_versions(_PACKAGES)},
        bundle=identity,
        load=tuple(frame.identity for frame in load),
        settings=settings,
        busy_percent=busy,
        cases=tuple(_case_of(one, settings, cores, classifier) for one in measured),
    )


def check_crowd(name: str, measured: ScalingRound) -> None:
    """Check, before more is measured, that lines can be drawn through what the crowds cost.

    Raises:
        IntegrityError: the detector finds as many faces, or looks at as many crops, in each of them.
    """
    works = [point.work for point in measured.crowd]
    counts = {
        "faces": {work.n_faces for work in works},
        "R-Net's crops": {work.rnet_crops for work in works},
        "O-Net's crops": {work.onet_crops for work in works},
    }
    for what, found in counts.items():
        if len(found) == 1:
            crowds = f"{measured.crowd[0].asked} to {measured.crowd[-1].asked} faces"
            raise IntegrityError(
                f"{name}: expected more {what} in frames of {crowds}, found {min(found)} in each; check the bundle"
            )


def _case_of(one: _Measured, settings: ScalingSettings, cores: tuple[int, ...], classifier: int | None) -> ScalingCase:
    first, rounds, memory = one.answers[0], one.rounds, tuple(one.memory)
    ran = set(rounds[0].stages.peak_ms)
    files = {variant.engine for variant in one.case.variants.values()}
    peaks = {
        f"{model.name} {model.precision}": model.multiply_adds
        for model in read_peak_models().models
        if model.engine in files and f"{model.name} {model.precision}" in ran
    }
    return ScalingCase(
        engine=one.case.engine,
        engine_version=first.engine_version,
        precision=one.case.precision,
        threads=settings.threads,
        cores=cores,
        precisions=first.precisions,
        classifier_multiply_adds=classifier,
        peak_multiply_adds=peaks,
        figures=case_figures(rounds, memory, first.precisions, classifier, peaks),
        rounds=rounds,
        memory=memory,
    )
