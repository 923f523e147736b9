"""The cascade's geometry with networks whose answers are known: every number here is worked out by hand."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import pytest
from runtime_support import fake_engine, manifest_json, tensor_json, write_bundle

from fer_edge.bundle import Bundle
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.detector.mtcnn import _Seen
from fer_edge.engines import TensorSpec
from fer_edge.errors import EngineError
from fer_edge.stage import Stage

SURE, NO_FACE = 5.0, -5.0
# The eyes, the nose and the mouth's corners as parts of O-Net's box: x1 … x5, y1 … y5.
LANDMARKS = [0.25, 0.75, 0.5, 0.25, 0.75, 0.25, 0.25, 0.5, 0.75, 1.0]


def stage_json(name, size, widths):
    stage = manifest_json()["stages"]["classifier"]
    stage.update(colour="bgr", pixel_mean=0.0, pixel_std=1.0, crop_margin=None)
    axes = [None] * (len(size) - 1)
    stage["variants"][0]["inputs"] = [tensor_json("pixels", [None, *size[1:], 3])]
    stage["variants"][0]["outputs"] = [
        tensor_json(f"{name}{i}", [None, *(axes if size[1] is None else []), width]) for i, width in enumerate(widths)
    ]
    return stage


STAGES = {
    "pnet": stage_json("pnet", (None, None, None), (1, 4)),
    "rnet": stage_json("rnet", (None, 24, 24), (1, 4)),
    "onet": stage_json("onet", (None, 48, 48), (1, 4, 10)),
}


def engine_for(name, compute):
    variant = STAGES[name]["variants"][0]
    specs = [
        tuple(TensorSpec(name=spec["name"], shape=tuple(spec["shape"]), dtype="float32") for spec in variant[key])
        for key in ("inputs", "outputs")
    ]
    return fake_engine(compute, *specs)


@pytest.fixture
def cascade(tmp_path):
    """Function from P-Net's cells {(row, column): (logit, offsets)} and the others' offsets to detector and engines.

    A logit of R- or O-Net may be a list: one for each crop that it sees, in order.
    """

    def make(cells, rnet_offsets=(0, 0, 0, 0), onet_offsets=(0, 0, 0, 0), rnet_logit=SURE, onet_logit=SURE, **options):
        bundle = Bundle.open(write_bundle(tmp_path / "bundle", {**manifest_json(), "labels": [], "stages": STAGES}))

        def pnet(pixels):
            _, height, width, _ = pixels.shape
            logits = np.full((1, height // 2 - 5, width // 2 - 5, 1), NO_FACE, np.float32)
            offsets = np.zeros((1, height // 2 - 5, width // 2 - 5, 4), np.float32)
            for (row, column), (logit, offset) in cells.items():
                logits[0, row, column], offsets[0, row, column] = logit, offset
            return logits, offsets

        logits = {"rnet": rnet_logit, "onet": onet_logit}
        answers = {name: iter(value) if isinstance(value, list) else repeat(value) for name, value in logits.items()}

        def rows(name, pixels, *values):
            logits = np.array([[next(answers[name])] for _ in pixels], np.float32)
            return logits, *(np.tile(np.array(value, np.float32), (len(pixels), 1)) for value in values)

        engines = {
            "pnet": engine_for("pnet", pnet),
            "rnet": engine_for("rnet", lambda pixels: rows("rnet", pixels, rnet_offsets)),
            "onet": engine_for("onet", lambda pixels: rows("onet", pixels, onet_offsets, LANDMARKS)),
        }
        stages = [Stage(bundle, name, engine) for name, engine in engines.items()]
        return FaceDetector(*stages, DetectorOptions(min_face_px=24, **options)), engines

    return make


# Column x holds the value x in blue, row y the value y in green.
FRAME = np.zeros((80, 100, 3), np.uint8)
FRAME[..., 0] = np.arange(100)
FRAME[..., 1] = np.arange(80)[:, np.newaxis]


def test_a_box_without_offsets(cascade):
    # The first level is half the frame. Cell (3, 2) sees pixels 5 … 16 by 7 … 18 of it, counted from 1: 10 … 32 by
    # 14 … 36 of the frame. From 0 and by edges that is 9 to 32 by 13 to 36.
    detector, _ = cascade({(3, 2): (SURE, (0, 0, 0, 0))})
    (face,) = detector(FRAME)
    assert face.box_xyxy.tolist() == [9, 13, 32, 36]
    assert face.detection_score == pytest.approx(1 / (1 + np.exp(-SURE)))
    # Parts of 23 pixels: 0.25 is 5.75 right of the left edge.
    assert face.landmarks_xy.tolist() == [
        [14.75, 18.75], [26.25, 18.75], [20.5, 24.5], [14.75, 30.25], [26.25, 36.0],
    ]  # fmt: skip


def test_every_stage_moves_the_box(cascade):
    # P-Net: half of 22 to the right: 21 … 43. R-Net: 2.25 of 23 further, cut to 23 … 45. O-Net: one wider on each side.
    detector, _ = cascade(
        {(3, 2): (SURE, (0.5, 0, 0.5, 0))},
        rnet_offsets=(2.25 / 23, 0, 2.25 / 23, 0),
        onet_offsets=(-1 / 23, 0, 1 / 23, 0),
    )
    (face,) = detector(FRAME)
    np.testing.assert_allclose(face.box_xyxy, [21, 13, 46, 36], atol=1e-5)
    # The landmarks belong to the box that O-Net saw, 23 … 45.
    np.testing.assert_allclose(face.landmarks_xy[2], [33.5, 24.5], atol=1e-5)


@pytest.mark.parametrize(("stage", "side"), [("rnet", 24), ("onet", 48)])
def test_a_crop_lies_where_the_box_is(cascade, stage, side):
    detector, engines = cascade({(3, 2): (SURE, (0, 0, 0, 0))})
    detector(FRAME)
    (session,) = engines[stage].sessions
    ((crop,),) = session.calls
    # Pixel centres of `side` equal parts of the box, whose edges are 9 to 32 by 13 to 36.
    step = 23 / side
    blue, green = 9 + (np.arange(side) + 0.5) * step - 0.5, 13 + (np.arange(side) + 0.5) * step - 0.5
    assert np.abs(crop[0, :, :, 0] - blue).max() <= 0.55  # rounding, and OpenCV's steps of 1/32 pixel
    assert np.abs(crop[0, :, :, 1] - green[:, np.newaxis]).max() <= 0.55
    assert not crop[..., 2].any()


def test_a_crop_of_a_large_box_comes_from_a_halved_frame(cascade):
    # A box of 67 px is 2.8 times R-Net's side: its crop is taken from the frame at half its size.
    frame = np.tile(FRAME, (2, 2, 1))[:160, :200]
    frame[..., 0] = np.arange(200)
    detector, engines = cascade({(13, 12): (SURE, (-1, -1, 1, 1))})
    detector(frame)
    (session,) = engines["rnet"].sessions
    ((crop,),) = session.calls
    # Cell (13, 12): 50 … 72 by 54 … 76, moved by its size of 22 on each side: 28 … 94.
    step = 67 / 24
    blue = 27 + (np.arange(24) + 0.5) * step - 0.5
    assert np.abs(crop[0, :, :, 0] - blue).max() <= 1.1  # one rounding more


def test_what_lies_outside_the_frame_is_black(cascade):
    detector, engines = cascade({(0, 0): (SURE, (-0.5, -0.5, -0.5, -0.5))})
    (face,) = detector(np.full_like(FRAME, 200))
    # 2 … 24 moved by 11 to the left and up: -9 … 13, by edges -10 to 13.
    assert face.box_xyxy.tolist() == [-10, -10, 13, 13]
    ((crop,),) = engines["rnet"].sessions[0].calls
    assert not crop[0, :9].any()
    assert not crop[0, :, :9].any()
    assert (crop[0, 12:, 12:] == 200).all()


@pytest.mark.parametrize("stage", ["pnet", "rnet", "onet"])
def test_a_logit_passes_above_its_threshold(cascade, stage):
    # A probability of 0.8 is a logit of log(0.8 / 0.2) = 1.3863.
    for logit, found in ((1.38, 0), (1.39, 1)):
        logits = {name: logit if name == stage else SURE for name in ("pnet", "rnet", "onet")}
        detector, _ = cascade(
            {(3, 2): (logits["pnet"], (0, 0, 0, 0))},
            rnet_logit=logits["rnet"],
            onet_logit=logits["onet"],
            **{f"{stage}_threshold": 0.8},
        )
        assert len(detector(FRAME)) == found


def test_neighbours_are_one_face(cascade):
    # Shifted by 4 of 23 px in x: 19 * 23 of 27 * 23 in common is 0.70 of the union, more than 0.5 within a level.
    detector, engines = cascade({(3, 2): (SURE, (0, 0, 0, 0)), (3, 3): (SURE + 1, (0, 0, 0, 0))})
    (face,) = detector(FRAME)
    assert face.box_xyxy.tolist() == [13, 13, 36, 36]
    assert len(engines["rnet"].sessions[0].calls) == 1


def test_no_more_proposals_than_allowed_and_the_best_first(cascade):
    cells = {(0, column): (SURE + column, (0, 0, 0, 0)) for column in (0, 7, 14)}
    detector, engines = cascade(cells, max_proposals=2)
    assert sorted(face.box_xyxy[0] for face in detector(FRAME)) == [29, 57]
    assert len(engines["rnet"].sessions[0].calls) == 2


def test_without_proposals_the_other_networks_do_not_run(cascade):
    detector, engines = cascade({})
    assert detector(FRAME) == []
    assert engines["rnet"].sessions == []
    assert engines["onet"].sessions == []


PERHAPS = 0.0  # a probability of 0.5: below the thresholds of R- and O-Net, above what ends it


@pytest.mark.parametrize("stage", ["rnet", "onet"])
def test_a_near_miss_is_looked_at_again_where_the_network_has_moved_it(cascade, stage):
    # The box of 23 px at 9, 13 is moved by 2 px to the right, to 11 … 34, and there it passes.
    moved = (2 / 23, 0, 2 / 23, 0)
    detector, engines = cascade(
        {(3, 2): (SURE, (0, 0, 0, 0))}, **{f"{stage}_logit": [PERHAPS, SURE], f"{stage}_offsets": moved}
    )
    (face,) = detector(FRAME)
    # Moved once by the first look and once by the second.
    np.testing.assert_allclose(face.box_xyxy, [13, 13, 36, 36], atol=1e-5)
    # A session is given the same memory each time, so what is left in it is the second crop, from 11 on.
    _, (crop,) = engines[stage].sessions[0].calls
    side = crop.shape[1]
    blue = 11 + (np.arange(side) + 0.5) * 23 / side - 0.5
    assert np.abs(crop[0, :, :, 0] - blue).max() <= 0.55


@pytest.mark.parametrize("stage", ["rnet", "onet"])
@pytest.mark.parametrize(
    ("logits", "n_looks", "n_faces"),
    [
        pytest.param([SURE], 1, 1, id="passes"),
        pytest.param([PERHAPS, SURE], 2, 1, id="passes the second time"),
        pytest.param([PERHAPS, PERHAPS], 2, 0, id="misses twice"),
        pytest.param([NO_FACE], 1, 0, id="far off"),
        # The least probabilities are 0.2 and 0.03: log-odds of -1.39 and -3.48.
        pytest.param([-3.5], 1, 0, id="just far off"),
        pytest.param([-1.38, SURE], 2, 1, id="just near"),
    ],
)
def test_who_gets_a_second_look(cascade, stage, logits, n_looks, n_faces):
    detector, engines = cascade({(3, 2): (SURE, (0, 0, 0, 0))}, **{f"{stage}_logit": logits})
    assert len(detector(FRAME)) == n_faces
    assert len(engines[stage].sessions[0].calls) == n_looks


@pytest.mark.parametrize(
    ("boxes", "logits", "again"),
    [
        # Squares of 10 px; shifted by 2 px they have 80 of 120 in common, 0.67; by 3 px 70 of 130, 0.54.
        pytest.param([(1, 10), (3, 12)], [PERHAPS, PERHAPS - 0.1], [0], id="the better of two that overlap"),
        pytest.param([(1, 10), (3, 12)], [PERHAPS - 0.1, PERHAPS], [1], id="in whichever order"),
        pytest.param([(1, 10), (4, 13)], [PERHAPS, PERHAPS - 0.1], [0, 1], id="two that overlap less"),
        pytest.param([(1, 10), (3, 12)], [SURE, PERHAPS], [], id="beside one that passed"),
        pytest.param([(1, 10), (4, 13)], [SURE, PERHAPS], [1], id="farther from one that passed"),
        pytest.param([(1, 10)], [NO_FACE], [], id="no face"),
        pytest.param([(1, 10)], [SURE], [], id="passed"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_near_misses(boxes, logits, again):
    n = len(boxes)
    corners = np.array([(left, 1, right, 10) for left, right in boxes], np.float32).reshape(-1, 4)
    seen = _Seen(
        squares=np.zeros((n, 4), np.float32),
        logits=np.array(logits, np.float32),
        boxes=corners,
        landmarks=np.empty((n, 0), np.float32),
    )
    assert sorted(seen.near_misses(-1.0, 1.0).tolist()) == again


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("stage", "wrong"),
    [
        ("pnet", lambda value: {"cells": {(3, 2): (value, (0, 0, 0, 0))}}),
        ("pnet", lambda value: {"cells": {(3, 2): (SURE, (0, value, 0, 0))}}),
        ("rnet", lambda value: {"rnet_logit": value}),
        ("rnet", lambda value: {"rnet_offsets": (0, 0, value, 0)}),
        ("onet", lambda value: {"onet_logit": value}),
        ("onet", lambda value: {"onet_offsets": (value, 0, 0, 0)}),
    ],
)
def test_an_engine_that_answers_with_no_numbers_fails(cascade, stage, wrong, value):
    detector, _ = cascade(**{"cells": {(3, 2): (SURE, (0, 0, 0, 0))}, **wrong(value)})
    with pytest.raises(EngineError, match=f"^{stage}: expected finite numbers, found NaN or infinity; choose"):
        detector(FRAME)
