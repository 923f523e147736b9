"""Cases take turns, and all that was measured is in the record."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from bench.bench_manifest import FULL
from bench.bench_samples import one_round

from fer_edge.bundle import Bundle
from fer_edge.errors import InputError
from fer_edge_bench.harness import measure_cases
from fer_edge_bench.plan import plan_cases
from fer_edge_bench.record import BenchRecord, Settings
from fer_edge_bench.worker import WorkerAnswer, WorkerJob

SETTINGS = Settings(threads=2, runs=2, rounds=2, min_face_px=33.0)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    folder.mkdir()
    # The line end more is not as fer-edge writes it: the digest is of the file's own bytes.
    (folder / "manifest.json").write_text(FULL.to_json() + "\n", encoding="utf-8")
    return Bundle.open(folder)


def measure(bundle: Bundle, photo: Path, jobs: list[WorkerJob]) -> tuple[BenchRecord, list[str]]:
    def answer(job: WorkerJob) -> WorkerAnswer:
        jobs.append(job)
        return WorkerAnswer(engine_version=f"{job.engine} 7", measured=one_round((float(len(jobs)), 10.0)))

    cases = plan_cases(FULL, engines=["litert"], precisions=[], probe=str, say=pytest.fail)
    progress: list[str] = []
    record = measure_cases(bundle, cases, [photo], SETTINGS, progress=progress.append, measure=answer)
    return record, progress


def test_rounds_take_turns(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.png").write_bytes(b"pixels")
    monkeypatch.chdir(tmp_path)
    jobs: list[WorkerJob] = []
    record, progress = measure(bundle, Path("photo.png"), jobs)

    assert [job.precision for job in jobs] == ["int8", "float32", "int8", "float32"]
    assert progress[2] == "round 2 of 2: litert int8"
    assert (jobs[0].threads, jobs[0].runs, jobs[0].min_face_px) == (2, 2, 33.0)
    assert (jobs[0].bundle, jobs[0].photos) == (str(bundle.path), (str(tmp_path / "photo.png"),))

    found = {case.precision: [r.photos[0].frame.samples_ms["frame"][0] for r in case.rounds] for case in record.cases}
    assert found == {"int8": [1.0, 3.0], "float32": [2.0, 4.0]}
    assert record.cases[0].engine_version == "litert 7"
    assert record.cases[0].stages["classifier"].bytes == 100
    assert record.bundle.manifest_sha256 == hashlib.sha256((bundle.path / "manifest.json").read_bytes()).hexdigest()
    assert (record.photos[0].name, record.photos[0].bytes) == ("photo.png", 6)
    assert record.photos[0].sha256 == hashlib.sha256(b"pixels").hexdigest()


def test_a_missing_photo_is_found_before_anything_is_measured(bundle: Bundle, tmp_path: Path) -> None:
    jobs: list[WorkerJob] = []
    with pytest.raises(InputError, match="no such file"):
        measure(bundle, tmp_path / "none.png", jobs)
    assert jobs == []
