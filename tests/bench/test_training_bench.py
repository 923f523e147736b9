"""Steps of training are measured in a process of their own; what cannot be measured is told before one starts."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from train.support import hide_modules

from fer_edge.errors import MissingExtraError, UsageError
from fer_edge_bench import training
from fer_edge_bench.claims_data import read_claims
from fer_edge_bench.claims_networks import NetworkFigures, network_figures
from fer_edge_bench.training import measure_training

CLAIMED = {claim.id: claim.value for claim in read_claims().claims}


def quiet(done: int, total: int, what: str) -> None:
    del done, total, what


@pytest.mark.host
@pytest.mark.slow
def test_steps_of_a_tiny_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras")
    if importlib.util.find_spec("torch") is not None:
        # What `fer-edge train` takes by itself; the tests' own process runs on tensorflow.
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        hide_modules(tmp_path, "tensorflow", "sklearn")
        path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    told: list[tuple[int, int, str]] = []
    (case,) = measure_training(
        ["sepnet_tiny"], batch_size=2, steps=3, threads=1, progress=lambda *step: told.append(step)
    )
    assert told == [(0, 1, "training sepnet_tiny")]
    assert (case.architecture, case.batch_size, case.threads, case.accelerator) == ("sepnet_tiny", 2, 1, None)
    assert len(case.ms_per_image) == 3
    # A step of two images takes longer than 0.02 ms and less than 10 s on anything that can import Keras.
    assert all(0.01 < ms < 5000 for ms in case.ms_per_image)
    assert case.backend.split()[0] in ("keras", "torch")
    assert case.peak_memory_bytes > 50_000_000
    assert 0 < case.process_cpu.percent < 150


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["mini_xcepton"]}, "no network is named 'mini_xcepton'; did you mean mini_xception?"),
        ({"architectures": ["sepnet_tiny", "zzz"]}, "no network is named 'zzz'; known: "),
        ({"batch_size": 1}, "batch_size: expected 2 to 65536, found 1"),
        ({"steps": 0}, "steps: expected 1 or more, found 0"),
        ({"threads": 0}, "threads: expected 1 or more, found 0"),
    ],
    ids=["near", "unknown", "batch", "steps", "threads"],
)
def test_what_is_refused_before_a_process_starts(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "start_training", None)
    arguments: dict[str, Any] = {"architectures": ["sepnet_tiny"]}
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        measure_training(**(arguments | changes), progress=quiet)


@pytest.mark.parametrize(
    "measure", [lambda: measure_training(["vgg"], progress=quiet), lambda: network_figures(["vgg"])]
)
def test_without_keras(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'found none; pip install "fer-edge\[train\]"') as raised:
        measure()
    assert raised.value.exit_code == 3


@pytest.mark.host
def test_networks_are_built_and_counted() -> None:
    pytest.importorskip("keras")
    mini, mobile = network_figures(["mini_xception", "mobilenet_v2"])
    assert mini == NetworkFigures(
        architecture="mini_xception",
        parameters=int(CLAIMED["b-parameters"]),
        trainable_parameters=int(CLAIMED["b-trainable-parameters"]),
        convolutions=15,
        poolings=5,
        fully_connected_parameters=(),
    )
    assert mobile.body_parameters == 2_257_984
    assert mobile.fully_connected_parameters == (40_992, 231)


def test_an_unknown_network_is_not_built() -> None:
    with pytest.raises(UsageError, match="did you mean vgg"):
        network_figures(["vgg", "vg"])
