"""What one machine of agreement.py does. It needs numpy, OpenCV, fer_edge and an engine: it runs under emulation.

    agreement_worker.py answers BUNDLE IMAGES.npy ENGINE OUTPUT.npz
    agreement_worker.py operations OPERATIONS.npz OUTPUT.npz

- answers: every variant of the bundle's classifier for one engine, LiteRT's quantized ones with its reference kernels
  as well; arrays "precision/kernels/stored" and "…/probs", one row for each image.
- operations: every model of one operation with each of LiteRT's kernels, on the inputs that come with it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.bundle import Bundle
from fer_edge.classifier import softmax
from fer_edge.engines import load_engine
from fer_edge.errors import EngineError
from fer_edge.stage import Stage

# By the names of ai_edge_litert's OpResolverType: XNNPACK with LiteRT's own for what it does not take, LiteRT's own
# optimized ones alone, and the plain ones.
KERNELS = {"XNNPACK": "AUTO", "built-in": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
_QUANTIZED = ("int8", "int16")


def write_answers(bundle_path: str, images_path: str, engine_name: str, output_path: str) -> None:
    bundle, images, engine = Bundle.open(Path(bundle_path)), np.load(images_path), load_engine(engine_name)
    found: dict[str, np.ndarray] = {}
    for variant in bundle.manifest.stages["classifier"].variants:
        if variant.engine != engine_name:
            continue
        for reference in (False, True):
            if reference and not (engine_name == "litert" and variant.precision in _QUANTIZED):
                continue
            key = f"{variant.precision}/{'reference' if reference else 'fast'}"
            stage = Stage(bundle, "classifier", engine, precision=variant.precision, reference_kernels=reference)
            try:
                stored = np.concatenate([stage.run_stored(image[np.newaxis])[0] for image in images])
            except EngineError as error:
                found[f"{key}/error"] = np.array(str(error))
                continue
            found[f"{key}/stored"] = stored
            found[f"{key}/probs"] = softmax(variant.outputs[0].dequantize(stored))
    np.savez(output_path, version=engine.version(), **found)


def write_operations(operations_path: str, output_path: str) -> None:
    from ai_edge_litert import interpreter as litert

    found: dict[str, np.ndarray] = {}
    with np.load(operations_path) as operations:
        for key in operations.files:
            index, _, kind = key.partition("/")
            if kind != "model":
                continue
            inputs = [operations[f"{index}/input{i}"] for i in range(int(operations[f"{index}/inputs"]))]
            for name, resolver in KERNELS.items():
                interpreter = litert.Interpreter(
                    model_content=operations[key].tobytes(),
                    num_threads=1,
                    experimental_op_resolver_type=getattr(litert.OpResolverType, resolver),
                )
                interpreter.allocate_tensors()
                found[f"{index}/{name}"] = np.stack([_run(interpreter, row) for row in zip(*inputs, strict=True)])
    np.savez(output_path, **found)


def _run(interpreter: Any, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


if __name__ == "__main__":
    {"answers": write_answers, "operations": write_operations}[sys.argv[1]](*sys.argv[2:])
