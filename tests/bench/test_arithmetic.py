"""Multiply-adds by hand, and against those of the networks' own layers."""

from pathlib import Path

import pytest

from fer_edge_bench.arithmetic import mtcnn_multiply_adds
from fer_edge_bench.samples import FrameWork

MODELS = Path(__file__).parents[2] / "models" / "mtcnn"
# P-Net on its own field of 12 x 12: 10 x 10 positions of 27 x 10 weights, pooled to 5 x 5; 3 x 3 of 90 x 16; 1 of
# 144 x 32; 1 of 32 x 5.
FIELD = 100 * 270 + 9 * 1440 + 4608 + 160


def work(size_wh: tuple[int, int] = (0, 0), rnet_crops: int = 0, onet_crops: int = 0) -> FrameWork:
    return FrameWork(n_faces=1, pnet_sizes_wh=(size_wh,), rnet_crops=rnet_crops, onet_crops=onet_crops)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (work((12, 12)), FIELD),
        # One more cell to the right: 12 x 10 positions, 6 x 5 pooled, 4 x 3, 2, 2.
        (work((14, 12)), 120 * 270 + 12 * 1440 + 2 * (4608 + 160)),
        (work(), 0),
        (work((1, 40)), 0),
        # 22 x 22, pooled 11 x 11, 9 x 9, pooled 4 x 4, 3 x 3, then 576 to 128 to 5.
        (work(rnet_crops=2), 2 * (484 * 27 * 28 + 81 * 252 * 48 + 9 * 192 * 64 + 576 * 128 + 128 * 5)),
    ],
    ids=["field", "two-cells", "nothing", "too-narrow", "rnet"],
)
def test_by_hand(given: FrameWork, expected: int) -> None:
    assert mtcnn_multiply_adds(given) == expected


@pytest.mark.host
@pytest.mark.parametrize(("name", "given"), [("rnet", work(rnet_crops=1)), ("onet", work(onet_crops=1))])
def test_a_crop_is_what_the_layers_say(name: str, given: FrameWork) -> None:
    keras = pytest.importorskip("keras")
    from fer_edge_train.multiply_adds import multiply_adds

    model = keras.saving.load_model(MODELS / f"{name}.keras", compile=False)
    assert mtcnn_multiply_adds(given) == multiply_adds(model)


@pytest.mark.host
@pytest.mark.parametrize("size_wh", [(12, 12), (330, 196), (47, 31)], ids=["field", "canvas", "odd"])
def test_a_canvas_is_what_the_layers_say(size_wh: tuple[int, int]) -> None:
    keras = pytest.importorskip("keras")
    from fer_edge_train.multiply_adds import multiply_adds

    model = keras.saving.load_model(MODELS / "pnet.keras", compile=False)
    width, height = size_wh
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((height, width, 3)))
    assert mtcnn_multiply_adds(work(size_wh)) == multiply_adds(fixed)
