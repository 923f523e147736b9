from __future__ import annotations

import numpy as np
import pytest

from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.detector.pyramid import plan_pyramid
from fer_edge.engines import load_engine
from fer_edge.errors import InputError, MissingExtraError
from fer_edge.images import read_image
from fer_edge.stage import Stage
from fer_edge_convert.detector_calibration import (
    TILE_PX,
    CalibrationLimits,
    _Reservoir,
    calibration_of_detector,
)

OPTIONS = DetectorOptions(min_face_px=40)
ALL = CalibrationLimits(tiles_per_photo=3, pnet_tiles=10**6, rnet_crops=10**6, onet_crops=10**6)


class Recorder:
    """A stage that remembers what it was given."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.seen: list[np.ndarray] = []

    def run(self, pixels):
        self.seen.append(pixels.copy())
        return self._stage.run(pixels)

    def __getattr__(self, name):
        return getattr(self._stage, name)


@pytest.fixture(scope="module")
def photo():
    from importlib.resources import as_file, files

    with as_file(files("fer_edge") / "assets" / "astronaut.png") as path:
        return read_image(path)


@pytest.fixture(scope="module")
def stages(default_bundle):
    try:
        engine = load_engine("litert")
    except MissingExtraError as error:
        pytest.skip(str(error))
    return {
        name: Stage(default_bundle, name, engine, precision="float32", batch_sizes=(1, 8))
        for name in ("pnet", "rnet", "onet")
    }


def detector_of(stages) -> FaceDetector:
    return FaceDetector(stages["pnet"], stages["rnet"], stages["onet"], OPTIONS)


def sorted_rows(images: np.ndarray) -> np.ndarray:
    rows = images.reshape(len(images), -1)
    return rows[np.lexsort(rows.T)]


def test_crops_are_those_that_the_stages_are_given_in_use(default_bundle, stages, photo):
    recorders = {name: Recorder(stage) for name, stage in stages.items()}
    assert detector_of(recorders)(photo)
    found = calibration_of_detector([photo], default_bundle, OPTIONS, seed=1, limits=ALL)
    for name in ("rnet", "onet"):
        given = np.concatenate(recorders[name].seen)
        np.testing.assert_array_equal(sorted_rows(found.of(name)), sorted_rows(given))
    assert (found.n_rnet_seen, found.n_onet_seen) == (len(found.rnet), len(found.onet))
    assert found.n_photos == 1


def test_tiles_lie_at_even_places_of_the_canvas_that_pnet_is_given(default_bundle, stages, photo):
    pyramid = plan_pyramid((photo.shape[1], photo.shape[0]), OPTIONS.min_face_px, OPTIONS.scale_factor)
    pyramid.draw(photo)
    recorders = {name: Recorder(stage) for name, stage in stages.items()}
    detector_of(recorders)(photo)
    for given, tile in zip(recorders["pnet"].seen, pyramid.tiles(), strict=True):
        np.testing.assert_array_equal(given, tile)
    found = calibration_of_detector([photo], default_bundle, OPTIONS, seed=1, limits=ALL)
    assert found.pnet.shape == (3, TILE_PX, TILE_PX, 3)
    # What is smaller than a tile is put on black.
    padded = [
        np.pad(canvas.pixels, [*((0, max(TILE_PX - side, 0)) for side in canvas.pixels.shape[:2]), (0, 0)])
        for canvas in pyramid.canvases
    ]
    windows = [
        np.lib.stride_tricks.sliding_window_view(image, (TILE_PX, TILE_PX), axis=(0, 1))[::2, ::2] for image in padded
    ]
    for tile in found.pnet:
        assert any((view == tile.transpose(2, 0, 1)).all(axis=(2, 3, 4)).any() for view in windows)


def test_a_canvas_smaller_than_a_tile_is_put_on_black(default_bundle, stages, photo):
    from fer_edge.preprocess import resize_exact

    # A face that fills a small picture: one level, no larger than the picture itself.
    small = resize_exact(photo[:192, 128:320], (96, 96))
    recorders = {name: Recorder(stage) for name, stage in stages.items()}
    detector_of(recorders)(small)
    tile = calibration_of_detector([small], default_bundle, OPTIONS, seed=1, limits=ALL).pnet[0]
    (canvas,) = recorders["pnet"].seen[0]
    height, width = canvas.shape[:2]
    assert min(height, width) < TILE_PX
    np.testing.assert_array_equal(tile[: min(height, TILE_PX), : min(width, TILE_PX)], canvas[:TILE_PX, :TILE_PX])
    assert not tile[height:].any()
    assert not tile[:, width:].any()


def test_the_same_seed_draws_the_same_within_the_limits(default_bundle, stages, photo):
    limits = CalibrationLimits(tiles_per_photo=2, pnet_tiles=3, rnet_crops=5, onet_crops=2)
    first, again, other = (
        calibration_of_detector([photo, photo[:, ::-1].copy()], default_bundle, OPTIONS, seed=seed, limits=limits)
        for seed in (1, 1, 2)
    )
    assert first.to_json() == again.to_json()
    assert first.to_json() != other.to_json()
    assert (len(first.pnet), len(first.rnet), len(first.onet)) == (3, 5, 2)
    assert first.n_rnet_seen > 5
    assert first.n_photos == 2
    assert {image.dtype for image in (first.pnet, first.rnet, first.onet)} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("photos", [[], [np.zeros((60, 60, 3), np.uint8)]], ids=["none", "black"])
def test_photos_without_anything_to_see_are_refused(default_bundle, stages, photos):
    with pytest.raises(InputError, match=f"found none in {len(photos)} photos; give more photos of faces"):
        calibration_of_detector(photos, default_bundle, OPTIONS, seed=1)


def test_each_item_of_a_stream_is_kept_equally_often():
    counts = np.zeros(20)
    rng = np.random.default_rng(0)
    for _ in range(4000):
        reservoir = _Reservoir(5, rng)
        for i in range(20):
            reservoir.offer(np.array(i, np.uint8))
        assert len(reservoir.items) == 5
        assert reservoir.n_seen == 20
        counts[[int(item) for item in reservoir.items]] += 1
    # Expected 1000 each with a standard deviation of 27.
    assert np.abs(counts - 1000).max() < 120


@pytest.mark.parametrize("name", ["tiles_per_photo", "pnet_tiles", "rnet_crops", "onet_crops"])
def test_a_limit_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected 1 or more, found 0"):
        CalibrationLimits(**{name: 0})
