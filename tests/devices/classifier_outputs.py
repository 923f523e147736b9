"""Runs a bundle's int8 classifier on images and stores what its files give, byte for byte.

    classifier_outputs.py BUNDLE IMAGES.npy OUTPUTS.npz

It runs on both machines of test_int8_agreement.py, so it needs no more than numpy, OpenCV, fer_edge and the engines.
"""

import platform
import sys
from pathlib import Path

import numpy as np

from fer_edge.bundle import Bundle
from fer_edge.engines import load_engine
from fer_edge.stage import Stage

CASES = {
    "onnx": {"engine": "onnx", "reference_kernels": False},
    "litert-reference": {"engine": "litert", "reference_kernels": True},
    "litert": {"engine": "litert", "reference_kernels": False},
}


def main(bundle_path: str, images_path: str, outputs_path: str) -> None:
    bundle = Bundle.open(Path(bundle_path))
    images = np.load(images_path)
    outputs = {}
    for name, case in CASES.items():
        stage = Stage(
            bundle,
            "classifier",
            load_engine(case["engine"]),
            precision="int8",
            reference_kernels=case["reference_kernels"],
        )
        outputs[name] = np.concatenate([stage.run_stored(image[np.newaxis])[0] for image in images])
    np.savez(outputs_path, machine=platform.machine(), **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
