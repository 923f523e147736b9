"""How much wider than the detector's box should the classifier's crop be? Accuracy over margins, on web photos.

    python benchmarks/studies/crop_margin.py [BUNDLE] [--min-face-px 40]

Needs photos in ExpW's layout below $FER_EDGE_DATA/expw_dev and looks at the part "fit" of them alone, so that the other
part stays unseen by the choice. Each labelled face that the detector finds is cut with every margin and classified with
the bundle's float32 network; `fer-edge evaluate BUNDLE --photos FOLDER --part held-out` then measures what was chosen.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from fer_edge.detector import DetectorOptions
from fer_edge_train.labelled_photos import photos_of_part, read_labelled_photos
from fer_edge_train.photo_evaluation import evaluate_photos
from fer_edge_train.photo_pipeline import open_photo_pipeline
from fer_edge_train.scorers import EngineChoice

DEFAULT_BUNDLE = Path(__file__).resolve().parents[2] / "fer_edge" / "models" / "default"
MARGINS = (-0.1, 0.0, 0.1, 0.2, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path, nargs="?", default=DEFAULT_BUNDLE)
    parser.add_argument("--min-face-px", type=float, default=40.0)
    arguments = parser.parse_args()
    pipeline = open_photo_pipeline(
        arguments.bundle,
        EngineChoice(precision="float32"),
        detector=None,
        options=DetectorOptions(min_face_px=arguments.min_face_px),
        crop_margin=None,
    )
    photos = photos_of_part(read_labelled_photos(Path(os.environ["FER_EDGE_DATA"]) / "expw_dev"), "fit")
    results = evaluate_photos(photos, pipeline.detector, pipeline.scorer, MARGINS)
    print(f"{len(photos)} photos, found {results[0].recall}, {results[0].n_extra} other faces")
    for result in results:
        classes = [right.share for _, _, right, _ in result.class_shares()]
        print(
            f"margin {result.crop_margin:+.1f}: right of found {result.right_of_found}, "
            f"mean over classes {100 * np.nanmean(classes):.1f} %, end to end {100 * result.end_to_end.share:.2f} %"
        )


if __name__ == "__main__":
    main()
