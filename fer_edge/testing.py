"""Stand-ins for an engine and a clock: code around fer-edge is tested without models and without waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fer_edge.engines.base import Array, EngineOptions, Session, TensorSpec, check_arrays

__all__ = ["FakeClock", "FakeEngine", "FakeSession"]

Compute = Callable[..., tuple[Array, ...]]


@dataclass(slots=True, kw_only=True, eq=False)
class FakeClock:
    """A clock that stands still until it is told to go on; calling it tells its time, as `time.perf_counter` does.

    Attributes:
        now_s: what it shows, in seconds.
    """

    now_s: float = 0.0

    def __call__(self) -> float:
        """Return what it shows."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now_s += seconds


@dataclass(slots=True, kw_only=True, eq=False)
class FakeSession:
    """A session that answers with a Python function.

    Attributes:
        inputs, outputs: as a loaded model states them.
        compute: takes one array for each input, returns one for each output.
        options: what the session was made with.
        model, weights: the bytes it was made from.
        calls: the arrays of every call so far, the very objects that were given.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    compute: Compute
    options: EngineOptions
    model: bytes
    weights: bytes | None
    calls: list[tuple[Array, ...]] = field(default_factory=list)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """Check the arrays as an engine does, remember them, and return what `compute` makes of them.

        Raises:
            EngineError: an array's shape or dtype is not the input's.
        """
        check_arrays(arrays, self.inputs)
        self.calls.append(arrays)
        return self.compute(*arrays)


@dataclass(slots=True, kw_only=True, eq=False)
class FakeEngine:
    """An engine whose every model computes the same Python function.

    Attributes:
        inputs, outputs: what its sessions state; a session made for fixed input shapes states those.
        compute: see FakeSession.
        name: under which a bundle's variants are looked up.
        sessions: every session made so far.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    compute: Compute
    name: str = "fake"
    sessions: list[FakeSession] = field(default_factory=list)

    def version(self) -> str:
        """Return the engine's name and the version 0."""
        return f"{self.name} 0"

    def load(self, model: bytes, options: EngineOptions, *, weights: bytes | None = None) -> Session:
        """Return a new FakeSession; any bytes will do."""
        inputs = self.inputs
        if options.input_shapes is not None:
            inputs = tuple(
                TensorSpec(name=spec.name, shape=shape, dtype=spec.dtype, scale=spec.scale, zero_point=spec.zero_point)
                for spec, shape in zip(inputs, options.input_shapes, strict=True)
            )
        session = FakeSession(
            inputs=inputs,
            outputs=self.outputs,
            compute=self.compute,
            options=options,
            model=model,
            weights=weights,
        )
        self.sessions.append(session)
        return session
