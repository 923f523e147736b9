"""What each classifier file does on the held-out faces, beside the network that it was made from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle
from fer_edge.classifier import softmax
from fer_edge.engines import load_engine
from fer_edge.stage import Stage
from fer_edge_convert.conversion_data import HeldOut
from fer_edge_train.comparison import PairedComparison, compare_paired
from fer_edge_train.evaluation import Evaluation, evaluate

__all__ = ["VariantFigures", "mean_divergence", "measure_latencies", "measure_variant"]

Floats = npt.NDArray[np.float32]

_BATCHES = (64, 1)
_WARM_UP_RUNS, _TIMED_RUNS = 30, 200
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariantFigures:
    """One file's figures.

    Attributes:
        engine, precision: of the variant.
        n_bytes: of its files.
        evaluation: on the held-out faces.
        comparison: with the network itself, on the same faces; the network is the first.
        agreement: share of faces to which both give the same label, 0 to 1.
        largest_difference: of a probability from the network's, 0 to 1.
        divergence: mean Kullback-Leibler divergence of its probabilities from the network's, in nats.
    """

    engine: str
    precision: str
    n_bytes: int
    evaluation: Evaluation
    comparison: PairedComparison
    agreement: float
    largest_difference: float
    divergence: float

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"classifier {self.engine} {self.precision}"

    @property
    def drop_points(self) -> float:
        """Top-1 lost against the network, in points."""
        return 100 * self.comparison.difference

    @property
    def drop_interval95(self) -> tuple[float, float]:
        """Bounds of the 95 % interval of `drop_points`, from the paired answers."""
        low, high = self.comparison.interval95
        return 100 * low, 100 * high

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest holds, as JSON types."""
        return {
            **self.evaluation.to_json(),
            "drop_points": round(self.drop_points, _DIGITS),
            "drop_interval95": [round(bound, _DIGITS) for bound in self.drop_interval95],
            "agreement": round(self.agreement, 6),
            "largest_probability_difference": round(self.largest_difference, 6),
            "divergence_nats": float(f"{self.divergence:.4g}"),
        }

    def to_text(self) -> str:
        """Return one line for people."""
        low, high = self.drop_interval95
        return (
            f"{self.name}: {self.evaluation.accuracy}, drop {self.drop_points:+.2f} points "
            f"({low:+.2f} to {high:+.2f}), same label {100 * self.agreement:.1f} %"
        )


def measure_variant(
    bundle: Bundle, engine: str, precision: str, held_out: HeldOut, float_probs: Floats
) -> VariantFigures:
    """Run a classifier file of a bundle as a device does.

    Args:
        bundle: the bundle that holds it.
        engine: of the file.
        precision: of the file.
        held_out: the faces.
        float_probs: float32 (n, classes), what the network itself says of them.

    Raises:
        EngineError: the engine fails on the file.
    """
    stage = _stage(bundle, engine, precision, _BATCHES)
    probs = softmax(stage.run(held_out.faces.images)[0])
    right = [values.argmax(axis=1) == held_out.faces.label_indices for values in (float_probs, probs)]
    return VariantFigures(
        engine=engine,
        precision=precision,
        n_bytes=sum(entry.bytes for entry in stage.variant.files()),
        evaluation=evaluate(probs, held_out.faces),
        comparison=compare_paired(right[0], right[1]),
        agreement=float((probs.argmax(axis=1) == float_probs.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(probs - float_probs).max()),
        divergence=mean_divergence(float_probs, probs),
    )


def mean_divergence(float_probs: Floats, probs: Floats) -> float:
    """Mean Kullback-Leibler divergence of `probs` (n, classes) from `float_probs`, in nats."""
    floor = np.float64(1e-12)
    p, q = np.maximum(float_probs, floor), np.maximum(probs, floor)
    return float((p * np.log(p / q)).sum(axis=1).mean())


def measure_latencies(
    bundle: Bundle, variants: Sequence[tuple[str, str]], images: npt.NDArray[np.uint8]
) -> list[float]:
    """Return for each variant the median ms of one face with one thread on this machine, the variants taking turns.

    Args:
        bundle: the bundle that holds them.
        variants: engines and precisions.
        images: uint8 (n, h, w, c), taken one after the other.
    """
    stages = [_stage(bundle, engine, precision, (1,)) for engine, precision in variants]
    for stage in stages:
        for run in range(_WARM_UP_RUNS):
            stage.run(images[run % len(images)][np.newaxis])
    samples_ms = np.empty((_TIMED_RUNS, len(stages)))
    for run in range(_TIMED_RUNS):
        face = images[run % len(images)][np.newaxis]
        for position, stage in enumerate(stages):
            begin = time.perf_counter()
            stage.run(face)
            samples_ms[run, position] = 1e3 * (time.perf_counter() - begin)
    return [float(value) for value in np.median(samples_ms, axis=0)]


def _stage(bundle: Bundle, engine: str, precision: str, batch_sizes: tuple[int, ...]) -> Stage:
    return Stage(bundle, "classifier", load_engine(engine), precision=precision, batch_sizes=batch_sizes)
