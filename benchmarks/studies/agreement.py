"""Does a classifier give the same answers on other processors, and which operations of LiteRT do not?

    python benchmarks/studies/agreement.py answers [BUNDLE] [--faces N] [--part PART]
    python benchmarks/studies/agreement.py operations [MODEL.tflite] [--faces N] [--each]

- answers: every engine and precision of a bundle's classifier on faces of FER-2013 (`fer2013/fer2013.csv.gz` below
  $FER_EDGE_DATA; drawn with a seed), on this machine and on every processor that can be emulated here. One table of
  engine x precision x machine, one of each file against each on this machine.
- operations: an int8 or int16 .tflite is cut into its operations. Each gets the inputs that it has in the whole network
  under the reference kernels, on every processor, with each of LiteRT's kernels. So what one operation rounds
  differently is told from what came out of the ones before it.

Emulation needs qemu-user-static, and for aarch64 what devices/emulate/build_root.py builds; what is missing is named on
standard error and left out. docs/agreement.md has the results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle, default_bundle_path
from fer_edge.machine import cpu_model
from fer_edge_bench.agreement import difference, equal_groups, same_top1_share
from fer_edge_bench.table import format_columns
from fer_edge_train.datasets import read_fer2013

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "devices" / "emulate"))

from aarch64 import EmulationError, default_root, run_in_root  # noqa: E402 - the folder is no package
from processors import PROCESSORS  # noqa: E402
from x86_64 import X86_PROCESSORS, run_on_x86  # noqa: E402

WORKER = Path(__file__).with_name("agreement_worker.py")
DATA = Path(os.environ.get("FER_EDGE_DATA", ROOT.parent / "shared" / "data"))
SEED = 2013
HERE = "here"
TIMEOUT_S = 3600  # emulation is a hundred times as slow, and other work may take turns with it

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
Runner = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A processor and how a script is run on it: `run` takes the script's path and arguments."""

    name: str
    what: str
    run: Runner


def run_here(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def machines(names: Sequence[str] | None) -> Iterator[Machine]:
    """Yield this machine, then those of the named processors (None: all) that can be emulated; name the others."""
    yield Machine(name=HERE, what=cpu_model(), run=run_here)

    def on_x86(name: str) -> Runner:
        return lambda arguments: run_on_x86(arguments, pythonpath=[ROOT], timeout_s=TIMEOUT_S, processor=name)

    def on_arm(name: str) -> Runner:
        return lambda arguments: run_in_root(
            default_root(), arguments, pythonpath=[ROOT], timeout_s=TIMEOUT_S, processor=name
        )

    known = {name: (what, on_x86(name)) for name, what in X86_PROCESSORS.items()}
    known |= {name: (processor.board, on_arm(name)) for name, processor in PROCESSORS.items()}
    for name in names if names is not None else known:
        what, run = known[name]
        try:
            started = run(["-c", "import numpy"])
        except EmulationError as error:
            say(f"skipped {name}: {error}")
            continue
        if started.returncode != 0:
            say(f"skipped {name}: Python does not start there: {last_line(started.stderr)}")
            continue
        yield Machine(name=name, what=what, run=run)


def drawn_faces(part: str, n: int) -> Pixels:
    """Return faces uint8 (n, h, w, 1) of a part of FER-2013, drawn with SEED."""
    faces = read_fer2013(DATA / "fer2013" / "fer2013.csv.gz", (part,))[part].images
    if n > len(faces):
        raise SystemExit(f"--faces: expected at most {part}'s {len(faces)}, found {n}")
    chosen: Pixels = faces[np.sort(np.random.default_rng(SEED).choice(len(faces), n, replace=False))]
    return chosen


def worker(machine: Machine, arguments: Sequence[str], output: Path) -> dict[str, Array]:
    """Run the worker on a machine and return the arrays it wrote; none, and a line that says why, where it failed."""
    try:
        done = machine.run([str(WORKER), *arguments, str(output)])
    except subprocess.TimeoutExpired:
        say(f"skipped {machine.name} {arguments[-1]}: it took more than {TIMEOUT_S} s")
        return {}
    if done.returncode != 0:
        say(f"skipped {machine.name} {arguments[-1]}: exit status {done.returncode}: {last_line(done.stderr)}")
        return {}
    with np.load(output) as arrays:
        return dict(arrays)


def study_answers(bundle_path: Path, n: int, part: str, names: Sequence[str] | None) -> None:
    variants = Bundle.open(bundle_path).manifest.stages["classifier"].variants
    float_engine = next((variant.engine for variant in variants if variant.precision == "float32"), None)
    if float_engine is None:
        raise SystemExit(f"{bundle_path}: expected a float32 classifier to compare with, found none")
    engines = [float_engine, *sorted({variant.engine for variant in variants} - {float_engine})]
    keys: list[tuple[str, str]] = []
    found: dict[tuple[str, str], dict[str, Array]] = {}  # by machine and engine
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, drawn_faces(part, n))
        used = []
        for machine in machines(names):
            used.append(machine)
            for engine in engines:
                say(f"{machine.name}: {engine}")
                arguments = ["answers", str(bundle_path.resolve()), str(images), engine]
                found[machine.name, engine] = worker(machine, arguments, Path(folder) / "answers.npz")
    for engine in engines:
        ran = dict.fromkeys(
            name.removesuffix("/probs")
            for machine in used
            for name in found[machine.name, engine]
            if name.endswith("/probs")
        )
        missing = [key for key in ran if f"{key}/probs" not in found[HERE, engine]]
        if missing:
            raise SystemExit(
                f"{engine} {', '.join(missing)}: expected answers of this machine to compare with, found none"
            )
        keys += [(engine, key) for key in ran]
    if (float_engine, "float32/fast") not in keys:
        raise SystemExit(f"{float_engine} float32: expected answers of this machine to compare with, found none")
    network = found[HERE, float_engine]["float32/fast/probs"]

    print(f"{n} faces of FER-2013's {part}, seed {SEED}; float: {float_engine} float32, here.\n")
    print(*(f"- {machine.name}: {machine.what}" for machine in used), sep="\n", end="\n\n")
    rows = [row for engine, key in keys for row in answer_rows(found, engine, key, network)]
    headings = ["engine", "precision, kernels", "machines", "label as float, %", "label as here, %"]
    headings += [
        "least agreement with a machine, %",
        "faces whose bytes differ from here",
        "largest difference, probability",
    ]
    print(format_columns(headings, rows, markdown=True), end="\n\n")
    print(f"Label agreement on this machine, in % of {n} faces:\n")
    labels = [f"{engine} {key.removesuffix('/fast').replace('/', ', ')}" for engine, key in keys]
    probs = [found[HERE, engine][f"{key}/probs"] for engine, key in keys]
    matrix = [[label, *(percent(same_top1_share(a, b)) for b in probs)] for label, a in zip(labels, probs, strict=True)]
    print(format_columns(["", *labels], matrix, markdown=True))


def answer_rows(
    found: Mapping[tuple[str, str], Mapping[str, Array]], engine: str, key: str, network: Array
) -> Iterator[list[str]]:
    """Yield a row for each group of machines that give the same bytes with one file, and one for each that failed."""
    precision, kernels = key.split("/")
    title = [engine, precision if kernels == "fast" else f"{precision}, {kernels}"]
    stored = {
        name: arrays[f"{key}/stored"]
        for (name, of), arrays in found.items()
        if of == engine and f"{key}/stored" in arrays
    }
    probs = {name: found[name, engine][f"{key}/probs"] for name in stored}
    for group in equal_groups(stored):
        name = group[0]
        apart = difference(stored[name], stored[HERE])
        yield [
            *title,
            "all" if set(group) == {machine for machine, _ in found} else ", ".join(group),
            percent(same_top1_share(probs[name], network)),
            percent(same_top1_share(probs[name], probs[HERE])),
            percent(min(same_top1_share(probs[name], other) for other in probs.values())),
            str(apart.n_rows_differ),
            f"{difference(probs[name], probs[HERE]).largest:.2g}",
        ]
    for (name, of), arrays in found.items():
        if of == engine and f"{key}/error" in arrays:
            yield [*title, name, f"failed: {arrays[f'{key}/error']}"[:80], "", "", "", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a .tflite.

    Attributes:
        label: its number and kind.
        kind: its name in LiteRT's schema, and for a convolution the size of its kernel.
        model: a .tflite of it alone.
        inputs: tensors of the whole network that it reads, by number; constants are not among them.
        output: the tensor that it writes, by number; the first, where it writes several.
    """

    label: str
    kind: str
    model: bytes
    inputs: tuple[int, ...]
    output: int


def cut(data: bytes) -> tuple[Operation, ...]:
    """Cut a .tflite into models of one operation each."""
    from fer_edge_convert.quiet import quiet_tensorflow

    quiet_tensorflow()
    from tensorflow.lite.tools import flatbuffer_utils

    n = len(flatbuffer_utils.convert_bytearray_to_object(bytearray(data)).subgraphs[0].operators)
    found = []
    for number in range(n):
        model = flatbuffer_utils.convert_bytearray_to_object(bytearray(data))
        (graph,) = model.subgraphs
        operation = graph.operators[number]
        reads = [int(index) for index in operation.inputs if index >= 0]
        writes = [int(index) for index in operation.outputs]
        constants = {index for index in reads if model.buffers[graph.tensors[index].buffer].data is not None}
        kind = flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex)
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            height, width = graph.tensors[reads[1]].shape[1:3]
            kind += f" {height} x {width}"
        kept = list(dict.fromkeys([*reads, *writes]))
        place = {index: i for i, index in enumerate(kept)}
        used = {0, *(graph.tensors[index].buffer for index in kept)}
        for i, buffer in enumerate(model.buffers):
            if i not in used:
                buffer.data = None
        model.metadata, model.signatureDefs = [], []
        graph.tensors = [graph.tensors[index] for index in kept]
        for tensor in graph.tensors:
            tensor.shapeSignature = None
        operation.inputs = np.array([place.get(int(index), -1) for index in operation.inputs], np.int32)
        operation.outputs = np.array([place[index] for index in writes], np.int32)
        inputs = tuple(index for index in reads if index not in constants)
        graph.inputs = np.array([place[index] for index in inputs], np.int32)
        graph.outputs, graph.operators = operation.outputs, [operation]
        made = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
        found.append(Operation(label=f"{number:02} {kind}", kind=kind, model=made, inputs=inputs, output=writes[0]))
    return tuple(found)


def inner_tensors(data: bytes, images: Pixels, indices: set[int]) -> dict[int, Array]:
    """Return what the reference kernels put into tensors of the whole network, by number, one row for each image."""
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(
        model_content=data,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    rows: dict[int, list[Array]] = {index: [] for index in sorted(indices)}
    scale, zero_point = source["quantization"]
    for image in images:
        # The bundles' coding: pixels from -1 up to 1 (docs/quantization.md), here with the file's own scale.
        stored = np.rint((image.astype(np.float64) - 128) / 128 / scale) + zero_point
        limits = np.iinfo(source["dtype"])
        array = np.clip(stored, limits.min, limits.max).astype(source["dtype"])[np.newaxis]
        interpreter.set_tensor(source["index"], array)
        interpreter.invoke()
        for index, kept in rows.items():
            kept.append(interpreter.get_tensor(index).copy())
    return {index: np.stack(kept) for index, kept in rows.items()}


def study_operations(path: Path, n: int, part: str, names: Sequence[str] | None, *, each: bool) -> None:
    data = path.read_bytes()
    operations = cut(data)
    used = {index for op in operations for index in (*op.inputs, op.output)}
    tensors = inner_tensors(data, drawn_faces(part, n), used)
    arrays: dict[str, Array] = {}
    for i, op in enumerate(operations):
        arrays[f"{i}/model"] = np.frombuffer(op.model, np.uint8)
        arrays[f"{i}/inputs"] = np.array(len(op.inputs))
        arrays |= {f"{i}/input{k}": tensors[index] for k, index in enumerate(op.inputs)}
    found: dict[str, dict[str, Array]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "operations.npz"
        np.savez(source, **arrays)
        for machine in machines(names):
            say(f"{machine.name}: {len(operations)} operations")
            answers = worker(machine, ["operations", str(source)], Path(folder) / "answers.npz")
            if answers:
                found[machine.name] = answers

    if HERE not in found:
        raise SystemExit("expected answers of this machine to compare with, found none")
    unfaithful = [
        op.label
        for i, op in enumerate(operations)
        if not np.array_equal(found[HERE][f"{i}/reference"], tensors[op.output])
    ]
    if unfaithful:
        raise SystemExit(f"{path}: cut out, {unfaithful[0]} gives another answer than within the network")

    from agreement_worker import KERNELS

    kinds: dict[str, list[int]] = {}
    for i, op in enumerate(operations):
        kinds.setdefault(op.label if each else op.kind, []).append(i)
    rows = []
    for kernels in KERNELS:
        for kind, members in kinds.items():

            def outputs(machine: str, kernels: str = kernels, members: list[int] = members) -> Array:
                return np.concatenate([found[machine][f"{i}/{kernels}"].ravel() for i in members])

            reference = np.concatenate([found[HERE][f"{i}/reference"].ravel() for i in members])
            for group in equal_groups({name: outputs(name) for name in found}):
                against = difference(outputs(group[0]), reference)
                here = difference(outputs(group[0]), outputs(HERE))
                rows.append(
                    [
                        kernels,
                        kind,
                        str(len(members)),
                        "all" if len(group) == len(found) else ", ".join(group),
                        f"{1000 * against.n_differ / against.n:.3f}",
                        f"{against.largest:.0f}",
                        f"{1000 * here.n_differ / here.n:.3f}",
                        f"{here.largest:.0f}",
                    ]
                )
    print(f"{path.name}, {n} faces of FER-2013's {part}, seed {SEED}.\n")
    headings = ["kernels", "operation", "how many", "machines", "differ from the reference, 1/1000", "steps"]
    print(format_columns([*headings, "differ from here, 1/1000", "steps"], rows, markdown=True))


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def last_line(text: str) -> str:
    return (text.strip() or "it wrote nothing").splitlines()[-1]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("answers", "operations"))
    parser.add_argument("path", type=Path, nargs="?", help="bundle or .tflite (default: of the default bundle)")
    parser.add_argument("--faces", type=int, help="default: 200 for answers, 10 for operations")
    parser.add_argument("--part", default="Training", choices=("Training", "PublicTest"))
    parser.add_argument("--processors", nargs="*", choices=(*X86_PROCESSORS, *PROCESSORS), help="default: all")
    parser.add_argument("--each", action="store_true", help="one row for each operation, not for each kind")
    arguments = parser.parse_args()
    if arguments.faces is not None and arguments.faces < 1:
        parser.error(f"--faces: expected 1 or more, found {arguments.faces}")
    if arguments.study == "answers":
        study_answers(
            arguments.path or default_bundle_path(), arguments.faces or 200, arguments.part, arguments.processors
        )
    else:
        path = arguments.path or default_bundle_path() / "classifier_int8.tflite"
        study_operations(path, arguments.faces or 10, arguments.part, arguments.processors, each=arguments.each)


if __name__ == "__main__":
    main()
