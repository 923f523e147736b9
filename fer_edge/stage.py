"""One stage of the pipeline: pixels in, real numbers out, whatever the engine and the precision."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle, StageSpec, Variant
from fer_edge.bundle.manifest import COLOURS
from fer_edge.engines import Engine, EngineOptions, Session, TensorSpec
from fer_edge.errors import IntegrityError, MissingExtraError

__all__ = ["Stage", "choose_variant"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def choose_variant(spec: StageSpec, engine_name: str, precision: str | None = None) -> Variant:
    """Return the stage's first variant for an engine, of the given precision where one is given.

    Raises:
        MissingExtraError: the stage has none; the message names those it has.
    """
    for variant in spec.variants:
        if variant.engine == engine_name and precision in (None, variant.precision):
            return variant
    found = ", ".join(f"{variant.engine} {variant.precision}" for variant in spec.variants)
    wanted = engine_name if precision is None else f"{engine_name} {precision}"
    raise MissingExtraError(f"the bundle's {spec.name} has no variant for {wanted}; it has {found}")


class Stage:
    """Runs batches of pixels through a stage's variant.

    A session is made for each batch size in `batch_sizes` (and for each image size) when it is first needed and kept,
    with its input buffer. A batch is cut into these sizes, largest first, so that engines with fixed shapes never pad
    nor allocate anew: sizes (1, 4, 16) run 23 images as 16 + 4 + 1 + 1 + 1.

    Attributes:
        batch_sizes: that batches are cut into, largest first.
        engine_s: seconds spent inside the engine so far; what else a stage costs is Python's and numpy's.
        n_images: images run so far.
    """

    def __init__(
        self,
        bundle: Bundle,
        name: str,
        engine: Engine,
        *,
        precision: str | None = None,
        threads: int = 1,
        batch_sizes: tuple[int, ...] = (1,),
        reference_kernels: bool = False,
    ) -> None:
        if 1 not in batch_sizes:
            raise ValueError(f"batch_sizes: expected 1 among them, found {batch_sizes}")
        self.spec = bundle.manifest.stages[name]
        self.variant = choose_variant(self.spec, engine.name, precision)
        self.coding = self.spec.coding(self.variant)
        self.channels = COLOURS[self.spec.colour]
        self._engine = engine
        self._model = bundle.read(self.variant.model)
        self._weights = bundle.read(self.variant.weights) if self.variant.weights else None
        self._threads = threads
        self._reference_kernels = reference_kernels
        self.batch_sizes = tuple(sorted(batch_sizes, reverse=True))
        self._sessions: dict[tuple[int, ...], _Loaded] = {}
        self.engine_s = 0.0
        self.n_images = 0

    @property
    def input_size_wh(self) -> tuple[int, int] | None:
        """Width and height that the stage takes, or None where it takes any."""
        _, height, width, _ = self.variant.inputs[0].shape
        return None if height is None or width is None else (width, height)

    def run(self, pixels: Pixels) -> tuple[Floats, ...]:
        """Run uint8 pixels (n, h, w, c); return float32 outputs, each with n first.

        Raises:
            EngineError: the engine fails.
        """
        parts: list[tuple[Floats, ...]] = []
        done = 0
        while done < len(pixels):
            size = next(size for size in self.batch_sizes if size <= len(pixels) - done)
            parts.append(self._run_batch(pixels[done : done + size]))
            done += size
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return tuple(np.empty((0, *(n or 0 for n in spec.shape[1:])), np.float32) for spec in self.variant.outputs)
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def run_stored(self, pixels: Pixels) -> tuple[npt.NDArray[Any], ...]:
        """Run one batch and return the outputs as the model's file stores them (quantized where it is)."""
        loaded = self._session(pixels.shape)
        encoded = self.coding.encode(pixels, out=loaded.buffer)
        started = time.perf_counter()
        outputs = loaded.session.run(encoded)
        self.engine_s += time.perf_counter() - started
        self.n_images += len(pixels)
        return tuple(outputs[position] for position in loaded.output_order)

    def forget_sessions(self) -> None:
        """Drop all sessions; a stream whose frames change size calls this to keep memory bounded."""
        self._sessions.clear()

    def _run_batch(self, pixels: Pixels) -> tuple[Floats, ...]:
        stored = self.run_stored(pixels)
        return tuple(spec.dequantize(array) for spec, array in zip(self.variant.outputs, stored, strict=True))

    def _session(self, shape: tuple[int, ...]) -> _Loaded:
        loaded = self._sessions.get(shape)
        if loaded is None:
            options = EngineOptions(
                threads=self._threads, input_shapes=(shape,), reference_kernels=self._reference_kernels
            )
            session = self._engine.load(self._model, options, weights=self._weights)
            loaded = _Loaded(
                session=session,
                output_order=self._output_order(session),
                buffer=np.empty(shape, dtype=self.coding.dtype),
            )
            self._sessions[shape] = loaded
        return loaded

    def _output_order(self, session: Session) -> tuple[int, ...]:
        """Find the manifest's outputs among the session's: converters reorder outputs, names do not lie.

        Raises:
            IntegrityError: a name, dtype, fixed length, scale or zero point of the session is not the manifest's.
        """
        found = {(spec.name, spec.dtype): position for position, spec in enumerate(session.outputs)}
        stated = [(spec.name, spec.dtype) for spec in self.variant.outputs]
        inputs = [(spec.name, spec.dtype) for spec in session.inputs]
        if inputs != [(spec.name, spec.dtype) for spec in self.variant.inputs] or not set(stated) <= set(found):
            raise IntegrityError(
                f"{self.variant.model.file}: the manifest states {self.variant.inputs[0].name} -> {stated}, "
                f"the model has {inputs} -> {list(found)}; make the bundle again"
            )
        order = tuple(found[key] for key in stated)
        # P-Net runs on images of any size, so its outputs have any height and width.
        free_axes = 3 if self.spec.name == "pnet" else 1
        pairs = [
            *zip(self.variant.inputs, session.inputs, strict=True),
            *zip(self.variant.outputs, (session.outputs[position] for position in order), strict=True),
        ]
        for expected, actual in pairs:
            difference = _difference(expected, actual, free_axes)
            if difference is not None:
                raise IntegrityError(f"{self.variant.model.file}, {expected.name}: {difference}; make the bundle again")
        return order


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Loaded:
    """A session for one input shape, the positions of the stated outputs, and its input buffer."""

    session: Session
    output_order: tuple[int, ...]
    buffer: npt.NDArray[Any]


def _difference(stated: TensorSpec, found: TensorSpec, free_axes: int) -> str | None:
    """Say how a session's tensor differs from the manifest's; its first `free_axes` axes may have any length."""
    fits = len(stated.shape) == len(found.shape) and all(
        want is None or have is None or want == have
        for want, have in zip(stated.shape[free_axes:], found.shape[free_axes:], strict=True)
    )
    if not fits:
        return f"the manifest states the shape {stated.shape}, the model has {found.shape}"
    # Of the engines only LiteRT says how a tensor is quantized.
    if found.scale is not None and (stated.scale is None or not math.isclose(stated.scale, found.scale, rel_tol=1e-6)):
        return f"the manifest states the scale {stated.scale}, the model has {found.scale}"
    if found.zero_point is not None and stated.zero_point != found.zero_point:
        return f"the manifest states the zero point {stated.zero_point}, the model has {found.zero_point}"
    return None
