from __future__ import annotations

import pytest

from fer_edge.errors import InputError
from fer_edge_convert.layers import Layer, pick_layers


def layer(index: int, kind: str, *shape: int) -> Layer:
    return Layer(index=index, kind=kind, weights_shape=shape, name=f"net_{index}/op", output=f"net_{index}/out")


LAYERS = (layer(0, "conv", 8, 3, 3, 1), layer(1, "depthwise", 1, 3, 3, 8), layer(2, "dense", 7, 128))


def test_labels_tell_place_kind_and_shape():
    assert [item.label for item in LAYERS] == ["00 conv 8x3x3x1", "01 depthwise 1x3x3x8", "02 dense 7x128"]


def test_layers_come_in_their_own_order():
    assert pick_layers(LAYERS, ["02 dense 7x128", "00 conv 8x3x3x1"], "x") == (LAYERS[0], LAYERS[2])
    assert pick_layers(LAYERS, [], "x") == ()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        pytest.param(
            LAYERS,
            r"litert int8: expected layers of the network \(00 conv 8x3x3x1 to 02 dense 7x128\), "
            r"found '03 conv'; the recipe is of another network",
            id="other network",
        ),
        pytest.param((), "litert int8: the network has no layers with weights, found '03 conv'", id="no layers"),
    ],
)
def test_an_unknown_label_is_an_error(layers, message):
    with pytest.raises(InputError, match=message):
        pick_layers(layers, ["03 conv"], "litert int8")
