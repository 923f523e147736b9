"""Looks into a model file before anything loads it: some formats can run code of whoever made them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, UsageError

__all__ = ["check_h5", "check_keras_archive", "check_saved_model", "refuse_pickles"]

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npy")
# A configuration is text about layers; weights are as large as the network.
_MAX_CONFIG_BYTES = 16 * 1024 * 1024
_MAX_ARCHIVE_BYTES = 1024 * 1024 * 1024
# Run Python, or read and write files, while the network runs.
_OPS_WITH_EFFECTS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles"})


def refuse_pickles(path: Path) -> None:
    """Refuse formats that are pickles, whatever is trusted: loading one is running it.

    Raises:
        UsageError: the name ends as a pickle's does.
    """
    if path.suffix.lower() in _PICKLES:
        raise UsageError(
            f"{path}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found a pickle ({path.suffix}), "
            "which runs code when it is loaded; export the network to ONNX instead"
        )


def check_h5(path: Path, *, trust: bool) -> None:
    """Refuse Keras' old format unless it is trusted: its layers may hold Python code.

    Raises:
        UsageError: it is not.
    """
    if not trust:
        raise UsageError(
            f"{path}: HDF5 files can hold Python code that runs when they are loaded; save it as .keras, or add "
            "--trust if you trust who made it"
        )


def check_keras_archive(path: Path, *, trust: bool) -> None:
    """Refuse a .keras file that holds code, found in its configuration without loading it.

    Raises:
        InputError: it is no .keras file, or too large to be one.
        UsageError: it holds code and is not trusted; the message names the layer.
    """
    config = _read_config(path)
    for name, kind in _objects_with_code(config):
        if not trust:
            raise UsageError(
                f"{path}: the layer {name!r} holds Python code ({kind}) that runs when it is loaded; replace it by a "
                "layer of Keras, or add --trust if you trust who made it"
            )


def check_saved_model(folder: Path, *, trust: bool) -> None:
    """Refuse a SavedModel whose graph runs Python or touches files, found without loading it.

    Raises:
        InputError: there is no readable SavedModel.
        UsageError: it has such an op and is not trusted; the message names it.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    file = folder / "saved_model.pb"
    try:
        content.ParseFromString(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; expected a SavedModel") from error
    except Exception as error:  # protobuf's DecodeError shares no base with anything useful
        raise InputError(f"{file}: expected a SavedModel, found something else ({error}); export it again") from error
    for graph in content.meta_graphs:
        functions = [node for function in graph.graph_def.library.function for node in function.node_def]
        for node in (*graph.graph_def.node, *functions):
            if node.op in _OPS_WITH_EFFECTS and not trust:
                raise UsageError(
                    f"{folder}: the op {node.op} ({node.name!r}) runs code or touches files while the network runs; "
                    "export it without, or add --trust if you trust who made it"
                )


def _read_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            total_bytes = sum(info.file_size for info in archive.infolist())
            info = archive.getinfo("config.json")
            if info.file_size > _MAX_CONFIG_BYTES or total_bytes > _MAX_ARCHIVE_BYTES:
                raise InputError(
                    f"{path}: expected at most {_MAX_ARCHIVE_BYTES >> 20} MiB unpacked and "
                    f"{_MAX_CONFIG_BYTES >> 20} MiB of configuration, found {total_bytes >> 20} and "
                    f"{info.file_size >> 20}"
                )
            return json.loads(archive.read(info))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; expected a .keras file") from error
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, EOFError) as error:
        raise InputError(f"{path}: expected a .keras file, found something else ({error}); save it again") from error


def _objects_with_code(config: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and kind of what a configuration brings along as code, or as a class that is not Keras' own."""
    waiting: list[tuple[Any, str]] = [(config, "model")]
    while waiting:
        item, owner = waiting.pop()
        if isinstance(item, list):
            waiting.extend((inner, owner) for inner in item)
        if not isinstance(item, dict):
            continue
        kind, module = item.get("class_name"), item.get("module")
        inner_config = item.get("config")
        if isinstance(inner_config, dict) and isinstance(inner_config.get("name"), str):
            owner = inner_config["name"]
        if kind in ("Lambda", "__lambda__"):
            yield owner, str(kind)
        elif isinstance(kind, str) and isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins"):
            yield owner, f"{module}.{kind}"
        waiting.extend((inner, owner) for inner in item.values())
