"""The engines by name, imported when one is asked for.

Another distribution adds an engine through an entry point in the group `fer_edge.engines`, its value `module:Class`.

An accelerated engine runs the files that a bundle has for another one: "onnx-cuda" those of "onnx". It is never taken
by itself, only by name or because `fer-edge tune` found it the fastest.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fer_edge.engines.base import Engine, EngineOptions, Session, TensorSpec
from fer_edge.errors import EngineError, FerEdgeError, MissingExtraError, UsageError

__all__ = [
    "ENGINE_NAMES",
    "GPU_ENGINE_NAMES",
    "Engine",
    "EngineOptions",
    "EngineStatus",
    "Session",
    "TensorSpec",
    "engine_name",
    "engine_status",
    "engines_for_files",
    "files_name",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accelerated:
    """An engine that runs another one's files: `library` lies beside that one's own where it was built with it."""

    target: str
    files: str
    library: str


_ACCELERATED = {
    "onnx-tensorrt": _Accelerated(
        target="fer_edge.engines.onnx:OnnxTensorRtEngine",
        files="onnx",
        library="capi/libonnxruntime_providers_tensorrt.so",
    ),
    "onnx-cuda": _Accelerated(
        target="fer_edge.engines.onnx:OnnxCudaEngine",
        files="onnx",
        library="capi/libonnxruntime_providers_cuda.so",
    ),
}
GPU_ENGINE_NAMES = tuple(_ACCELERATED)
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
    if known in _ENGINES or known in _ACCELERATED or known in _third_party():
        return known
    candidates = [*_ENGINES, *_offered(), *_ALIASES, *_third_party()]
    near = difflib.get_close_matches(name.lower(), candidates, n=1)
    hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(candidates)
    raise UsageError(f"no engine is named {name!r}; {hint}")


def files_name(name: str) -> str:
    """Return the name under which a bundle has the files that an engine runs: "onnx" for "onnx-cuda".

    Raises:
        UsageError: no engine has that name.
    """
    known = engine_name(name)
    return _ACCELERATED[known].files if known in _ACCELERATED else known


def engines_for_files(name: str) -> tuple[str, ...]:
    """Return the engines that run the files a bundle has under a name: that one, then the accelerated ones.

    Imports nothing: an accelerated engine is named where the library that is installed was built with it.
    """
    return (name, *(other for other in _offered() if _ACCELERATED[other].files == name))


def load_engine(name: str) -> Engine:
    """Import and make the engine of that name or alias.

    Raises:
        UsageError: no engine has that name.
        MissingExtraError: its library is not installed; the message names the command that installs it.
        EngineError: its library is there and fails.
    """
    known = engine_name(name)
    if known in _ENGINES:
        target = _ENGINES[known][0]
    else:
        target = _ACCELERATED[known].target if known in _ACCELERATED else _third_party()[known]
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
    needed = dict.fromkeys(_ACCELERATED[name].files if name in _ACCELERATED else name for name in names)
    extras = " or ".join(f'pip install "fer-edge[{name}]"' for name in needed)
    raise MissingExtraError(f"none of the engines {', '.join(names)} is installed; {extras}")


def engine_status() -> list[EngineStatus]:
    """Try every known engine and tell what works; of the accelerated ones, those that the library was built with."""
    found = []
    for name in [*_ENGINES, *_offered(), *_third_party()]:
        try:
            found.append(EngineStatus(name=name, version=load_engine(name).version(), problem=None))
        except FerEdgeError as error:
            found.append(EngineStatus(name=name, version=None, problem=str(error)))
    return found


def _offered() -> list[str]:
    """Return the accelerated engines whose libraries lie beside those of the engine they belong to."""
    return [
        name
        for name, entry in _ACCELERATED.items()
        if any((folder / entry.library).is_file() for folder in _package_folders(_ENGINES[entry.files][1]))
    ]


def _package_folders(modules: Iterable[str]) -> list[Path]:
    specs = (importlib.util.find_spec(module) for module in modules)
    return [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]


def _third_party() -> dict[str, str]:
    from importlib.metadata import entry_points  # 3 MB that an engine of our own does not need

    return {point.name: point.value for point in entry_points(group=_GROUP)}
