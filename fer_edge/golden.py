"""Golden vectors: pixels and outputs that travel with a bundle, replayed on the machine that is to run it.

A digest tells that a file is the one that was measured; this tells that the engine makes the same of it here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle, GoldenPixels, StageSpec, Variant
from fer_edge.engines import TensorSpec, load_engine
from fer_edge.errors import EngineError, IntegrityError, MissingExtraError, UsageError
from fer_edge.stage import Stage

__all__ = ["NotReplayed", "Replay", "check_replays", "replay_golden", "run_images"]

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a variant made of its stage's golden pixels here, beside what it made of them where the bundle was made.

    Attributes:
        stage: its name.
        variant: that was run.
        engine_version: name and version of the library here.
        reference_kernels: whether the engine's reference kernels computed it.
        tolerance: largest difference let through; 0 where every byte must be the golden one.
        n_values: of all outputs.
        n_different: how many of them are not the golden ones.
        largest_difference: of a value from the golden one, as a share of the range of that golden output; infinite
            where a value is no number.
    """

    stage: str
    variant: Variant
    engine_version: str
    reference_kernels: bool
    tolerance: float
    n_values: int
    n_different: int
    largest_difference: float

    @property
    def outcome(self) -> str:
        """One of "exact", "within tolerance" and "differs"."""
        if self.n_different == 0:
            return "exact"
        return "within tolerance" if self.largest_difference <= self.tolerance else "differs"

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "stage": self.stage,
            "engine": self.variant.engine,
            "precision": self.variant.precision,
            "reference_kernels": self.reference_kernels,
            "outcome": self.outcome,
            "engine_version": self.engine_version,
            "values": self.n_values,
            "different": self.n_different,
            "largest_difference": self.largest_difference if math.isfinite(self.largest_difference) else None,
            "tolerance": self.tolerance,
        }

    def to_text(self) -> str:
        """Return one line for people."""
        line = f"{_columns(self.stage, self.variant)} {self.outcome}"
        if self.reference_kernels:
            line += ", reference kernels"
        return line if self.n_different == 0 else f"{line}: {self.difference_text()} (let through: {self.tolerance:g})"

    def difference_text(self) -> str:
        """Say how many values are not the golden ones, and how far from them."""
        share = f"{self.largest_difference:.2g} of their range"
        return f"{self.n_different} of {self.n_values} values are off by up to {share}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReplayed:
    """A variant that could not be run here.

    Attributes:
        stage: its name.
        variant: that was not run.
        error: EngineError where its engine is installed and fails, else what says that the engine is missing.
    """

    stage: str
    variant: Variant
    error: EngineError | MissingExtraError | UsageError

    @property
    def outcome(self) -> str:
        """Either "failed", where the engine is installed, or "skipped"."""
        return "failed" if isinstance(self.error, EngineError) else "skipped"

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "stage": self.stage,
            "engine": self.variant.engine,
            "precision": self.variant.precision,
            "outcome": self.outcome,
            "reason": str(self.error),
        }

    def to_text(self) -> str:
        """Return one line for people."""
        return f"{_columns(self.stage, self.variant)} {self.outcome}: {self.error}"


def replay_golden(bundle: Bundle) -> Iterator[Replay | NotReplayed]:
    """Run every variant whose engine is installed on its stage's golden pixels, one image at a time.

    Where the golden outputs are those of reference kernels, these are run first and then the engine's own.

    Raises:
        MissingExtraError: the bundle has no golden vectors.
        IntegrityError: a file is not the one that the manifest names, or not what the manifest says of it.
    """
    if bundle.manifest.golden is None:
        raise MissingExtraError(f"{bundle.path} has no golden vectors; make the bundle again with fer-edge convert")
    data = bundle.read(bundle.manifest.golden)
    for spec in bundle.manifest.stages.values():
        for variant in spec.variants:
            try:
                yield from _replays(bundle, spec, variant, data)
            except (EngineError, MissingExtraError, UsageError) as error:
                yield NotReplayed(stage=spec.name, variant=variant, error=error)


def check_replays(bundle: Bundle, found: Sequence[Replay | NotReplayed]) -> None:
    """Judge what `replay_golden` gave; the first that is wrong is named.

    Raises:
        IntegrityError: outputs differ by more than is let through.
        EngineError: an engine that is installed cannot run a variant.
        MissingExtraError: no variant was run.
    """
    replays = [item for item in found if isinstance(item, Replay)]
    differing = [item for item in replays if item.outcome == "differs"]
    if differing:
        first = differing[0]
        expected = f"within {first.tolerance:g} of their range" if first.tolerance else "byte for byte"
        kernels = " with its reference kernels" if first.reference_kernels else ""
        others = f"; {len(differing) - 1} more differ" if len(differing) > 1 else ""
        raise IntegrityError(
            f"{bundle.path}: {_name(first.stage, first.variant)}: expected the golden outputs {expected}, found that "
            f"{first.difference_text()} in {first.engine_version}{kernels}; use another variant here, or "
            f"{first.variant.tested_with}, with which the bundle was made{others}"
        )
    missing = [item for item in found if isinstance(item, NotReplayed)]
    for item in missing:
        if item.outcome == "failed":
            raise EngineError(f"{bundle.path}: {_name(item.stage, item.variant)}: {item.error}")
    if not replays:
        raise MissingExtraError(f"{bundle.path}: expected an engine that runs one of the variants; {missing[0].error}")


def run_images(stage: Stage, pixels: Pixels) -> tuple[Array, ...]:
    """Run uint8 pixels (n, h, w, c) one image at a time; return each output, n first, as the model's file stores it.

    Raises:
        EngineError: the engine fails.
    """
    outputs = zip(*(stage.run_stored(image[np.newaxis]) for image in pixels), strict=True)
    return tuple(np.concatenate(parts) for parts in outputs)


def _replays(bundle: Bundle, spec: StageSpec, variant: Variant, data: bytes) -> Iterator[Replay]:
    if spec.golden is None or variant.golden is None:
        return  # the manifest's reader lets neither be missing beside a golden file
    where = f"{bundle.path}: {_name(spec.name, variant)}"
    pixels = _array(data, spec.golden.offset, spec.golden.shape, "uint8")
    golden = _read_outputs(data, spec.golden, variant, variant.golden.offset, where)
    engine = load_engine(variant.engine)
    runs = [(False, variant.golden.tolerance)]
    if variant.golden.reference_kernels:
        runs.insert(0, (True, 0.0))
    for reference_kernels, tolerance in runs:
        stage = Stage(bundle, spec.name, engine, precision=variant.precision, reference_kernels=reference_kernels)
        found = run_images(stage, pixels)
        for expected, actual in zip(golden, found, strict=True):
            if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
                raise IntegrityError(
                    f"{where}: expected outputs {expected.dtype} {expected.shape}, "
                    f"found {actual.dtype} {actual.shape}; make the bundle again"
                )
        yield Replay(
            stage=spec.name,
            variant=variant,
            engine_version=engine.version(),
            reference_kernels=reference_kernels,
            tolerance=tolerance,
            n_values=sum(array.size for array in golden),
            n_different=sum(int((a != b).sum()) for a, b in zip(golden, found, strict=True)),
            largest_difference=max(map(_largest_difference, variant.outputs, golden, found)),
        )


def _read_outputs(data: bytes, pixels: GoldenPixels, variant: Variant, offset: int, where: str) -> tuple[Array, ...]:
    arrays = []
    for spec, shape in zip(variant.outputs, pixels.output_shapes, strict=True):
        array = _array(data, offset, shape, spec.dtype)
        if not np.isfinite(array).all():
            raise IntegrityError(
                f"{where}: expected golden outputs that are numbers, found others; make the bundle again"
            )
        arrays.append(array)
        offset += array.nbytes
    return tuple(arrays)


def _array(data: bytes, offset: int, shape: tuple[int, ...], dtype: str) -> Array:
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"), math.prod(shape), offset).reshape(shape)


def _largest_difference(spec: TensorSpec, golden: Array, found: Array) -> float:
    """Return the largest difference of real values as a share of the golden ones' range; infinite where it is none."""
    expected, actual = (spec.dequantize(array).astype(np.float64) for array in (golden, found))
    largest, extent = float(np.abs(actual - expected).max()), float(np.ptp(expected))
    if largest == 0:
        return 0.0
    return largest / extent if extent and math.isfinite(largest) else math.inf


def _name(stage_name: str, variant: Variant) -> str:
    return f"{stage_name} {variant.engine} {variant.precision}"


def _columns(stage_name: str, variant: Variant) -> str:
    return f"{stage_name:<11} {variant.engine:<9} {variant.precision:<12}"
