"""Looks into a model file before anything loads it: some formats can run code of whoever made them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, UsageError

__all__ = ["check_h5", "check_keras_archive", "check_onnx", "check_saved_model", "refuse_pickles"]

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")
_PICKLE_START, _PICKLE_PROTOCOLS = 0x80, range(2, 6)
_PICKLE_IN_TORCH_ARCHIVE = "data.pkl"

# A configuration is text about layers; weights are as large as the network.
_MAX_CONFIG_BYTES = 16 * 1024 * 1024
_MAX_ARCHIVE_BYTES = 1024 * 1024 * 1024
# Where a network's parts are. Keras looks in its other modules too, which have functions that load and download.
_KERAS_MODULES = frozenset(
    {
        "keras", "keras.activations", "keras.constraints", "keras.dtype_policies", "keras.initializers",
        "keras.layers", "keras.losses", "keras.metrics", "keras.models", "keras.optimizers",
        "keras.optimizers.schedules", "keras.quantizers", "keras.random", "keras.regularizers", "builtins",
    }
)  # fmt: skip
_KERAS_PACKAGES = ("keras.src.applications.", "keras.src.layers.", "keras.src.models.", "keras.src.ops.")
_FUNCTION_MODULES = frozenset({"builtins", "keras.activations", "keras.initializers", "keras.ops"})
# Python code, a pickle, another framework's code, a SavedModel or a file of a vocabulary in a configuration.
_KERAS_CLASSES_WITH_CODE = frozenset(
    {
        "Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer", "StringLookup",
        "IntegerLookup", "TextVectorization",
    }
)  # fmt: skip

# TensorFlow marks ops with effects as stateful. These are, and have none but on the network's own variables.
_HARMLESS_STATEFUL_OPS = frozenset(
    {
        "Assert", "AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp", "Case", "DestroyResourceOp",
        "DisableCopyOnRead", "If", "RandomStandardNormal", "RandomUniform", "RandomUniformInt", "ReadVariableOp",
        "RngReadAndSkip",
        "StatefulPartitionedCall", "TruncatedNormal", "VarHandleOp", "VarIsInitializedOp", "While",
    }
)  # fmt: skip
# These have effects and are not marked.
_STATELESS_OPS_WITH_EFFECTS = frozenset(
    {
        "Abort", "DebugIdentity", "DebugNanCount", "DebugNumericSummary", "GenerateVocabRemapping", "ImmutableConst",
        "MatchingFiles", "PyFuncStateless", "ReadFile", "RemoteFusedGraphExecute", "XlaCustomCallV2",
    }
)  # fmt: skip
_DATASET = "Dataset"  # in the name of every op that reads or writes data sets

_ONNX_DOMAINS = ("", "ai.onnx")


def refuse_pickles(path: Path) -> None:
    """Refuse formats that are pickles, whatever is trusted: loading one is running it.

    Raises:
        UsageError: the name ends as a pickle's does, or the file begins as one, or holds one as PyTorch's files do.
    """
    if path.suffix.lower() in _PICKLES or (path.is_file() and _holds_pickle(path)):
        raise UsageError(
            f"{path}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found a pickle, which runs code "
            "when it is loaded; export the network to ONNX instead"
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
    if isinstance(config, dict):
        config.pop("compile_config", None)  # optimizer and loss, which conversion leaves out
    if trust:
        return
    for name, kind in _objects_with_code(config):
        raise UsageError(
            f"{path}: the layer {name!r} has {kind}, which can run code or read files when it is loaded; replace it by "
            "a layer of Keras, or add --trust if you trust who made it"
        )


def check_saved_model(folder: Path, *, trust: bool) -> str:
    """Refuse a SavedModel whose functions run Python or touch files, found without loading it.

    Functions that only its saver calls are let through: they read and write the variables' files, and nothing calls the
    saver here.

    Returns:
        The version of TensorFlow that wrote it, as it states it.

    Raises:
        InputError: there is no readable SavedModel.
        UsageError: it has such an op, or is TensorFlow 1's, and is not trusted; the message names the op.
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
    if not content.meta_graphs:
        raise InputError(f"{file}: expected a SavedModel, found one without a graph; export it again")
    graph = content.meta_graphs[0]
    if not trust:
        # Of any other the whole graph is run.
        if len(content.meta_graphs) != 1 or not graph.HasField("object_graph_def"):
            raise UsageError(
                f"{folder}: a SavedModel of TensorFlow 1 runs its graph while it is loaded; export it with "
                "TensorFlow 2, or add --trust if you trust who made it"
            )
        for node in _nodes_that_can_run(graph):
            if _has_effects(node.op):
                raise UsageError(
                    f"{folder}: the op {node.op} ({node.name!r}) runs code or touches files; export it without, or add "
                    "--trust if you trust who made it"
                )
    version: str = graph.meta_info_def.tensorflow_version
    return version


def check_onnx(model: Any, path: Path) -> tuple[Path, ...]:
    """Refuse an onnx.ModelProto with operators that are not ONNX's, or with weights outside the file's folder.

    Args:
        model: its weights need not have been loaded.
        path: of the file.

    Returns:
        The other files that its weights are in, each once.

    Raises:
        InputError: it has such an operator, or such weights; whatever is trusted.
    """
    import onnx

    files: dict[Path, None] = {}
    for part in _onnx_parts(model):
        if isinstance(part, onnx.NodeProto):
            if part.domain not in _ONNX_DOMAINS:
                raise InputError(
                    f"{path}: expected operators of ONNX, found {part.domain}.{part.op_type} "
                    f"({part.name or 'without name'}); export it without"
                )
        elif part.data_location == onnx.TensorProto.EXTERNAL:
            place = next((entry.value for entry in part.external_data if entry.key == "location"), "")
            files[_inside(path, place, part.name)] = None
    return tuple(files)


def _holds_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if len(start) == 2 and start[0] == _PICKLE_START and start[1] in _PICKLE_PROTOCOLS:
            return True
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/")[-1] == _PICKLE_IN_TORCH_ARCHIVE for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):  # its own reader says what is wrong with it
        return False


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
    # zlib.error, NotImplementedError and RuntimeError (of encrypted entries) are what zipfile lets through.
    except Exception as error:
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
        inner_config = item.get("config")
        if isinstance(inner_config, dict) and isinstance(inner_config.get("name"), str):
            owner = inner_config["name"]
        if isinstance(item.get("class_name"), str) and not _is_of_keras(item):
            yield owner, ".".join(str(item[key]) for key in ("module", "class_name") if item.get(key))
        waiting.extend((inner, owner) for inner in item.values())


def _is_of_keras(item: dict[str, Any]) -> bool:
    kind, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    # A dotted name reaches other modules: "keras" and "utils.get_file".
    if kind in _KERAS_CLASSES_WITH_CODE or not kind.isidentifier():
        return False
    if kind == "function":
        name = item.get("config")
        return module in _FUNCTION_MODULES and isinstance(name, str) and name.isidentifier()
    if module is None:
        # Keras' own, in short; what users register has the name of a package.
        return not (isinstance(registered, str) and ">" in registered)
    return isinstance(module, str) and (module in _KERAS_MODULES or module.startswith(_KERAS_PACKAGES))


def _nodes_that_can_run(graph: Any) -> Iterator[Any]:
    """Yield the nodes of the functions that a loaded SavedModel has, and of all functions that these call."""
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    waiting, seen = list(graph.object_graph_def.concrete_functions), set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            if node.op in functions:
                waiting.append(node.op)
            else:
                yield node
            for attribute in node.attr.values():
                waiting.extend(function.name for function in (attribute.func, *attribute.list.func) if function.name)


def _has_effects(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    return (
        definition is None  # not TensorFlow's own
        or (definition.is_stateful and op not in _HARMLESS_STATEFUL_OPS)
        or op in _STATELESS_OPS_WITH_EFFECTS
        or _DATASET in op
    )


def _onnx_parts(model: Any) -> Iterator[Any]:
    """Yield each node and tensor of a model, those of its functions and of the graphs inside nodes too."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        sparse = list(getattr(graph, "sparse_initializer", ()))
        yield from graph.node
        yield from getattr(graph, "initializer", ())
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            # What was not set reads as an empty message, which holds nothing.
            waiting.extend((attribute.g, *attribute.graphs))
            sparse.extend((attribute.sparse_tensor, *attribute.sparse_tensors))
            yield from (attribute.t, *attribute.tensors)
        yield from (tensor for item in sparse for tensor in (item.values, item.indices))


def _inside(path: Path, place: str, tensor: str) -> Path:
    """Return the file that holds a tensor, where that is in the folder of `path`."""
    folder = path.parent.resolve()
    found = (folder / place).resolve()
    if not place or not found.is_relative_to(folder):
        raise InputError(
            f"{path}: expected the weights {tensor!r} inside the file or its folder, found them at {place!r}; save it "
            "as one file"
        )
    if not found.is_file():
        raise InputError(f"{path}: the file {place!r} with the weights {tensor!r} is not there; save it as one file")
    return path.parent / found.relative_to(folder)
