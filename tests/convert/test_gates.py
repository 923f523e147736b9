from __future__ import annotations

import numpy as np
import pytest

from fer_edge.errors import GateError, UsageError
from fer_edge_convert.gates import Gates
from fer_edge_convert.measuring import VariantFigures
from fer_edge_train.comparison import PairedComparison
from fer_edge_train.evaluation import evaluate_labels


def figures(lost: int = 0, n_bytes: int = 1000, engine: str = "onnx") -> VariantFigures:
    """Of a file that gets `lost` of 2,000 faces wrong which the network, right on 1,600, has right."""
    labels = np.arange(2000) % 7
    predicted = np.where(np.arange(2000) < 1600 - lost, labels, (labels + 1) % 7)
    probs = np.eye(7, dtype=np.float32)[predicted]
    return VariantFigures(
        engine=engine,
        precision="int8",
        n_bytes=n_bytes,
        evaluation=evaluate_labels(probs, labels, tuple("abcdefg")),
        comparison=PairedComparison(both_right=1600 - lost, only_first=lost, only_second=0, neither=400),
        agreement=1 - lost / 2000,
        largest_difference=0.1,
        divergence=0.01,
    )


@pytest.mark.parametrize(
    ("gates", "found", "latency_ms", "missed"),
    [
        pytest.param(Gates(), figures(20), 9.0, [], id="a drop of 1.0 passes 1.0"),
        pytest.param(
            Gates(),
            figures(21),
            9.0,
            ["loses 1.05 points of top-1 on 2000 faces, at most 1 are let through"],
            id="a drop of 1.05 does not",
        ),
        pytest.param(Gates(max_bytes=1000), figures(), 9.0, [], id="as many bytes as allowed"),
        pytest.param(
            Gates(max_bytes=999), figures(), 9.0, ["has 1000 bytes, at most 999 are let through"], id="a byte more"
        ),
        pytest.param(
            Gates(max_latency_ms=2.0),
            figures(),
            2.001,
            ["takes 2.001 ms a face here, at most 2 are let through"],
            id="slow",
        ),
        pytest.param(
            Gates(max_drop_points=-1.0, max_bytes=1, max_latency_ms=1.0),
            figures(),
            9.0,
            [
                "loses 0.00 points of top-1 on 2000 faces, at most -1 are let through",
                "has 1000 bytes, at most 1 are let through",
                "takes 9.000 ms a face here, at most 1 are let through",
            ],
            id="all three",
        ),
    ],
)
def test_what_a_file_misses(gates, found, latency_ms, missed):
    assert gates.misses(found, latency_ms) == missed


def test_all_files_pass_or_none():
    Gates().check([figures(), figures(5)], [1.0, 1.0], "hint")
    with pytest.raises(GateError) as caught:
        Gates(max_bytes=999).check([figures(), figures(60, 500, "litert")], [1.0, 1.0], "do that")
    assert str(caught.value) == (
        "classifier onnx int8 has 1000 bytes, at most 999 are let through; classifier litert int8 loses 3.00 points of "
        "top-1 on 2000 faces, at most 1 are let through; nothing was written; do that"
    )


def test_too_few_faces_judge_nothing():
    Gates().check_images(1000, "Set test")
    with pytest.raises(
        UsageError, match=r"^Set test: expected at least 1000 held-out faces, found 999: too few to tell"
    ):
        Gates().check_images(999, "Set test")
