"""The engines by name, imported when one is asked for.

Another distribution adds an engine through an entry point in the group `fer_edge.engines`, its value `module:Class`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from fer_edge.engines.base import Engine, EngineOptions, Session, TensorSpec
from fer_edge.errors import EngineError, FerEdgeError, MissingExtraError, UsageError

__all__ = [
    "ENGINE_NAMES",
    "Engine",
    "EngineOptions",
    "EngineStatus",
    "Session",
    "TensorSpec",
    "engine_name",
    "engine_status",
    "load_engine",
    "pick_engine",
]

_GROUP = "fer_edge.engines"
# In order of preference: smallest in memory first. The second entry is what must be importable.
_ENGINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "litert": ("fer_edge.engines.litert:LiteRTEngine", ("ai_edge_litert", "tflite_runtime")),
    "onnx": ("fer_edge.engines.onnx:OnnxEngine", ("onnxruntime",)),
    "openvino": ("fer_edge.engines.openvino:OpenVinoEngine", ("openvino",)),
}
ENGINE_NAMES = tuple(_ENGINES)
_ALIASES = {"tflite": "litert", "onnxruntime": "onnx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """Whether an engine can be used here.

    Attributes:
        name: of the engine.
        version: of its library, None where it cannot be imported.
        problem: why it cannot be used and what to do, None where it can.
    """

    name: str
    version: str | None
    problem: str | None


def engine_name(name: str) -> str:
    """Return the table's name for an engine's name or alias ("tflite" is known as well as "litert").

    Raises:
        UsageError: no engine has that name.
    """
    known = _ALIASES.get(name, name)
    if known in _ENGINES or known in _third_party():
        return known
    candidates = [*_ENGINES, *_ALIASES, *_third_party()]
    near = difflib.get_close_matches(name.lower(), candidates, n=1)
    hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(candidates)
    raise UsageError(f"no engine is named {name!r}; {hint}")


def load_engine(name: str) -> Engine:
    """Import and make the engine of that name or alias.

    Raises:
        UsageError: no engine has that name.
        MissingExtraError: its library is not installed; the message names the command that installs it.
        EngineError: its library is there and fails.
    """
    known = engine_name(name)
    target = _ENGINES[known][0] if known in _ENGINES else _third_party()[known]
    module_name, _, class_name = target.partition(":")
    try:
        engine: Engine = getattr(importlib.import_module(module_name), class_name)()
    except FerEdgeError:
        raise
    except Exception as error:  # a broken library may raise anything while it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise EngineError(f"the engine {known} cannot be started ({reason}); install its library again") from error
    return engine


def pick_engine(candidates: Iterable[str]) -> Engine:
    """Load the first of the named engines whose library is installed and works.

    One that is installed and fails is passed over with a warning that says why.

    Raises:
        MissingExtraError: none is.
    """
    names = list(candidates)
    for name in names:
        if name in _ENGINES and not any(importlib.util.find_spec(module) for module in _ENGINES[name][1]):
            continue
        try:
            return load_engine(name)
        except (MissingExtraError, EngineError) as error:
            warnings.warn(f"fer-edge passes over an engine: {error}", RuntimeWarning, stacklevel=2)
    extras = " or ".join(f'pip install "fer-edge[{name}]"' for name in names)
    raise MissingExtraError(f"none of the engines {', '.join(names)} is installed; {extras}")


def engine_status() -> list[EngineStatus]:
    """Try every known engine and tell what works."""
    found = []
    for name in [*_ENGINES, *_third_party()]:
        try:
            found.append(EngineStatus(name=name, version=load_engine(name).version(), problem=None))
        except FerEdgeError as error:
            found.append(EngineStatus(name=name, version=None, problem=str(error)))
    return found


def _third_party() -> dict[str, str]:
    return {point.name: point.value for point in importlib.metadata.entry_points(group=_GROUP)}
