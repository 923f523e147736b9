"""Does the enhancer help a classifier that was trained without it? Accuracy on faces with and without haze.

    python benchmarks/studies/enhancement.py [ENHANCER [BUNDLE]]

Classifies FER-2013's PublicTest (`fer2013/fer2013.csv.gz` below $FER_EDGE_DATA) with the bundle's float32 network: as
it is, with synthetic haze, and both after the enhancer (models/ffa_net_small). Nothing is chosen by these figures.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from fer_edge import EmotionPipeline
from fer_edge_train.datasets import read_fer2013
from fer_edge_train.metrics import accuracy
from fer_edge_train.preparation.enhancer import Enhancer
from fer_edge_train.preparation.haze import Haze

SEED = 2024
USAGE = "PublicTest"
# Light to dense: t = 1 is none.
TRANSMISSIONS = (0.9, 0.6, 0.3)
BATCH = 256


def main() -> None:
    enhancer = Enhancer.open(Path(sys.argv[1] if len(sys.argv) > 1 else "models/ffa_net_small"))
    classifier = EmotionPipeline(sys.argv[2] if len(sys.argv) > 2 else None, precision="float32").classifier
    csv_path = Path(os.environ["FER_EDGE_DATA"]) / "fer2013" / "fer2013.csv.gz"
    faces = read_fer2013(csv_path, (USAGE,))[USAGE]
    cases = {"no haze": faces.images}
    for t in TRANSMISSIONS:
        haze = Haze(transmission_range=(t, t))
        cases[f"haze, t = {t:g}"] = haze.apply(faces.images, np.random.default_rng(SEED))

    for name, images in cases.items():
        for how, given in (("as it is", images), ("enhanced", enhancer.enhance(images))):
            probs = np.concatenate([classifier.classify(given[i : i + BATCH]) for i in range(0, len(given), BATCH)])
            print(f"{name}, {how}: top-1 {accuracy(probs.argmax(axis=1), faces.label_indices)}")


if __name__ == "__main__":
    main()
