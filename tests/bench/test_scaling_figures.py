"""A case's figures by hand."""

from __future__ import annotations

import pytest
from bench.scaling_samples import CLASSIFIER, PEAKS, PRECISIONS, case, memory_run, one_round, work

from fer_edge_bench.arithmetic import mtcnn_multiply_adds
from fer_edge_bench.scaling.figures import case_figures, memory_figures, stage_multiply_adds, verdict
from fer_edge_bench.scaling.fits import Estimate
from fer_edge_bench.scaling.samples import MemoryRun

# By hand in tests/bench/test_arithmetic.py: P-Net on its own field, R-Net on a crop.
PNET_FIELD = 100 * 270 + 9 * 1440 + 4608 + 160
RNET_CROP = 484 * 27 * 28 + 81 * 252 * 48 + 9 * 192 * 64 + 576 * 128 + 128 * 5
# O-Net: 46 x 46, pooled 23, 21 x 21, pooled 10, 8 x 8, pooled 4, 3 x 3, then 1152 to 256 to 15.
ONET_CROP = 2116 * 27 * 32 + 441 * 288 * 64 + 64 * 576 * 64 + 9 * 256 * 128 + 1152 * 256 + 256 * 15


def test_multiply_adds_of_the_stages() -> None:
    given = work(n_faces=3, pnet_size_wh=(330, 196), rnet=25, onet=7)
    found = stage_multiply_adds(given, CLASSIFIER)
    assert found["rnet"] == 25 * RNET_CROP
    assert found["classifier"] == 3 * CLASSIFIER
    assert found["onet"] == 7 * ONET_CROP
    detector = [found[name] for name in ("pnet", "rnet", "onet")]
    assert sum(count for count in detector if count is not None) == mtcnn_multiply_adds(given)
    assert stage_multiply_adds(work(), None) == {
        "pnet": PNET_FIELD,
        "rnet": 2 * RNET_CROP,
        "onet": ONET_CROP,
        "classifier": None,
    }
    assert stage_multiply_adds(work(pnet_runs=3), None)["pnet"] == 3 * PNET_FIELD


def test_stages_and_peak() -> None:
    figures = case(one_round()).figures
    pnet, classifier = figures.stages["pnet"], figures.stages["classifier"]
    # 400 M in 10 ms are 40 GMAC/s, 900 M in 30 ms are 30: the faster counts.
    assert pnet.peak == "conv1x1 float32"
    assert pnet.peak_gmac_per_s == Estimate(value=40.0, interval95=None)
    assert classifier.peak == "conv1x1 int8"
    assert classifier.peak_gmac_per_s == Estimate(value=80.0, interval95=None)
    # One face in 1 ms, three in 3: 20 M in 2 ms on average are 10 GMAC/s, an eighth of the peak.
    assert classifier.mmac == 20.0
    assert classifier.engine_ms == 2.0
    assert classifier.gmac_per_s == Estimate(value=10.0, interval95=None)
    assert classifier.percent_of_peak == Estimate(value=12.5, interval95=None)
    assert pnet.mmac == pytest.approx(PNET_FIELD / 1e6, abs=1e-6)


def test_the_floor() -> None:
    figures = case(one_round()).figures
    detector = PNET_FIELD + 2 * RNET_CROP + ONET_CROP
    detector_ms = detector / 40e9 * 1000
    assert figures.frame_ms.value == 15.0
    assert figures.floor_ms is not None
    assert figures.floor_ms.value == pytest.approx(detector_ms + 20e6 / 80e9 * 1000, abs=1e-6)
    assert figures.times_floor is not None
    assert figures.times_floor.value == pytest.approx(15.0 / figures.floor_ms.value, rel=1e-4)


def test_a_slower_machine_is_as_far_from_its_floor() -> None:
    figures = case(one_round(), one_round(2.0)).figures
    assert figures.frame_ms.value == pytest.approx(15.0 * 2**0.5, abs=1e-5)
    assert figures.times_floor is not None
    assert figures.times_floor.interval95 == pytest.approx((figures.times_floor.value,) * 2)


def test_shares() -> None:
    figures = case(one_round()).figures
    assert figures.engine.percent.value == 60.0
    assert figures.opencv.percent.value == 30.0
    assert figures.python.percent.value == 10.0
    assert figures.python.frames90_percent == (10.0, 10.0)
    # 200 calls in 40 ms, of 2 us each.
    assert figures.opencv_calls == pytest.approx(200 / 3, abs=1e-5)
    assert figures.clock_percent == 1.0


def test_lines() -> None:
    figures = case(one_round()).figures
    assert (figures.faces.slope, figures.faces.intercept, figures.faces.r2) == (2.0, 5.0, 1.0)
    assert (figures.rnet.slope, figures.rnet.intercept) == (0.05, 1.0)
    assert (figures.onet.slope, figures.onet.intercept) == (0.25, 0.0)
    assert (figures.pixels.slope, figures.pixels.intercept) == (30.0, 4.0)


def test_what_is_not_known_is_not_told() -> None:
    rounds = (one_round(),)
    figures = case_figures(rounds, (), PRECISIONS, None, PEAKS)
    assert figures.floor_ms is figures.times_floor is None
    assert figures.stages["classifier"].mmac is figures.stages["classifier"].gmac_per_s is None
    assert figures.stages["pnet"].percent_of_peak is not None
    without = case_figures((one_round(peak_ms={"conv1x1 int8": (5.0,)}),), (), PRECISIONS, CLASSIFIER, PEAKS)
    assert without.floor_ms is None
    assert without.stages["pnet"].peak is without.stages["pnet"].percent_of_peak is None
    assert without.stages["pnet"].gmac_per_s is not None


@pytest.mark.parametrize("grown_bytes", [0, 900_000, 3_600_000, -900_000])
def test_growth_of_memory(grown_bytes: int) -> None:
    found = memory_figures(memory_run(grown_bytes=grown_bytes))
    assert found.growth_mb == pytest.approx(grown_bytes / 1e6, abs=1e-3)
    assert found.peak_growth_mb == pytest.approx(max(grown_bytes, 0) / 1e6, abs=1e-3)
    assert found.frames_per_s == 50.0


def test_a_step_within_a_run_is_not_taken_for_a_slope() -> None:
    resident = [100_000_000] * 15 + [101_000_000] + [100_000_000] * 4
    run = MemoryRun(
        kind="pipeline",
        frames=2000,
        at_frame=tuple(range(100, 2001, 100)),
        resident_bytes=tuple(resident),
        peak_bytes=tuple(resident),
        wall_s=1.0,
    )
    assert memory_figures(run).growth_mb == 0.0


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (Estimate(value=15.0, interval95=(12.0, 18.0)), "met"),
        (Estimate(value=19.0, interval95=(16.0, 22.0)), "cannot tell"),
        (Estimate(value=25.0, interval95=(21.0, 29.0)), "missed"),
        (Estimate(value=25.0, interval95=None), "missed"),
        (Estimate(value=20.0, interval95=None), "met"),
    ],
    ids=["below", "across", "above", "one above", "one at it"],
)
def test_verdict(estimate: Estimate, expected: str) -> None:
    assert verdict(estimate, 20.0) == expected
