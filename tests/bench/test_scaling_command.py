"""`fer-edge bench scaling` from the command line's words to record and page, and the frames it measures with."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench.report.page_checks import check_page
from bench.scaling_samples import one_round, record, work
from runtime_support import run_cli

from fer_edge.errors import IntegrityError
from fer_edge.typed_json import to_json_text
from fer_edge_bench.scaling.frames import CROWD_SIZE_WH, CROWDS, FRAME_SIZES_WH, crowd_frame, padded_frame
from fer_edge_bench.scaling.measure import check_crowd
from fer_edge_bench.scaling.record import read_scaling_record

needs_litert = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("ai_edge_litert", "tflite_runtime")),
    reason="the engine litert is not installed",
)


@needs_litert
@pytest.mark.slow
def test_end_to_end(tmp_path: Path) -> None:
    path, page = tmp_path / "record.json.gz", tmp_path / "page.html"
    words = ("--engine", "litert", "--rounds", "1", "--passes", "1", "--frames", "100")
    done = run_cli("bench", "scaling", *words, "--record", str(path), "--report", str(page))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Stages and the engine's peak" in done.stdout
    check_page(page.read_text(encoding="utf-8"))
    (case,) = read_scaling_record(path).cases
    assert case.name == "litert int8"
    figures = case.figures
    assert figures.times_floor is not None
    assert figures.times_floor.value > 1
    assert set(case.peak_multiply_adds) == {
        f"{name} {precision}" for name in ("conv1x1", "conv3x3") for precision in ("float32", "int8")
    }
    shares = [share.percent.value for share in (figures.engine, figures.opencv, figures.python)]
    assert sum(shares) == pytest.approx(100.0, abs=1e-3)
    assert min(shares) > 0
    assert figures.opencv_calls > 10
    (measured,) = case.rounds
    assert [point.asked for point in measured.crowd] == list(CROWDS)
    assert [point.work.n_faces for point in measured.crowd] == list(CROWDS)
    assert [point.size_wh for point in measured.pixels] == list(FRAME_SIZES_WH)
    assert {point.work.n_faces for point in measured.pixels} == {1}
    assert [run.kind for run in case.memory] == ["pipeline", "tracker"]
    assert all(min(run.resident_bytes) > 10_000_000 for run in case.memory)
    again = run_cli("bench", "scaling", "--from-record", str(path))
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_a_record_is_shown_again(tmp_path: Path) -> None:
    made, page = tmp_path / "record.json", tmp_path / "page.html"
    made.write_text(to_json_text(record()), encoding="utf-8")
    done = run_cli("bench", "scaling", "--from-record", str(made), "--report", str(page), "--markdown")
    assert done.returncode == 0, done.stderr
    assert "### Growth of memory" in done.stdout
    check_page(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--threads", "0"), 2, "threads: expected 1 or more, found 0"),
        (("--frames", "5"), 2, "frames: expected 100 or more, found 5"),
        (("--passes", "0"), 2, "passes: expected 1 or more, found 0"),
        (("--rounds", "-1"), 2, "rounds: expected 1 or more, found -1"),
        (("--min-face", "5"), 2, "min_face_px: expected 12 to 51, found 5"),
        (("--min-face", "300"), 2, "min_face_px: expected 12 to 51, found 300"),
        (("--engine", "tflit"), 2, "did you mean tflite?"),
        (("none",), 1, "no bundle at"),
        (("--from-record", "none.json"), 1, "cannot read none.json"),
        (
            ("--from-record", "none.json", "--record", "x.json"),
            2,
            "--from-record measures nothing: expected no --record beside it",
        ),
        (
            ("--from-record", "none.json", "--rounds", "3", "--engine", "onnx"),
            2,
            "--from-record measures nothing: expected no --engine or --rounds beside it",
        ),
        (("--record", "x.html", "--report", "x.html"), 2, "expected two files, found one name"),
    ],
)
def test_what_is_wrong(words: tuple[str, ...], code: int, message: str) -> None:
    done = run_cli("bench", "scaling", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.startswith("fer-edge: error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_detector_that_finds_as_many_in_each_crowd() -> None:
    measured = one_round()
    check_crowd("litert int8", measured)
    blind = tuple(replace(point, work=work(n_faces=0, rnet=7, onet=0)) for point in measured.crowd)
    with pytest.raises(
        IntegrityError, match=r"^litert int8: expected more faces in frames of 1 to 10 faces, found 0 in each; check"
    ):
        check_crowd("litert int8", replace(measured, crowd=blind))
    seen = tuple(replace(point, work=replace(point.work, onet_crops=0)) for point in measured.crowd)
    with pytest.raises(IntegrityError, match="expected more O-Net's crops"):
        check_crowd("litert int8", replace(measured, crowd=seen))


@pytest.mark.parametrize("option", ["--record", "--report"])
def test_nothing_is_replaced(tmp_path: Path, option: str) -> None:
    made, there = tmp_path / "record.json", tmp_path / "there"
    made.write_text(to_json_text(record()), encoding="utf-8")
    there.write_text("mine")
    done = run_cli("bench", "scaling", option, str(there))
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert there.read_text() == "mine"


def test_places_of_fewer_faces_are_among_those_of_more() -> None:
    few, many = crowd_frame(5), crowd_frame(20)
    assert few.shape == many.shape == (CROWD_SIZE_WH[1], CROWD_SIZE_WH[0], 3)
    is_face = (few != 128).any(axis=2)
    assert np.array_equal(few[is_face], many[is_face])
    assert (crowd_frame(0) == 128).all()
    # A tile has few pixels of that very gray.
    assert is_face.sum() == pytest.approx(5 * 96 * 96, rel=0.01)


@pytest.mark.parametrize("size_wh", FRAME_SIZES_WH)
def test_the_photo_keeps_its_size(size_wh: tuple[int, int]) -> None:
    frame = padded_frame(size_wh)
    width, height = size_wh
    assert frame.shape == (height, width, 3)
    left, top = (width - 320) // 2, (height - 240) // 2
    assert np.array_equal(frame[top : top + 240, left : left + 320], padded_frame((320, 240)))
    frame[top : top + 240, left : left + 320] = 128
    assert (frame == 128).all()


def test_frames_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="n_faces: expected 0 to 130, found 131"):
        crowd_frame(131)
    with pytest.raises(ValueError, match="size_wh: expected 320 x 240 or more"):
        padded_frame((300, 240))
