"""Which calibration set and which method for int8 ranges: how far an int8 classifier's answers move from the network's.

    python benchmarks/studies/calibration.py [MODEL] [--engines litert onnx openvino] [--per-class 5 20 100 300]
        [--methods mse ...] [--corrected]

Tries every size of calibration set with every method on FER-2013's Training images (`fer2013/fer2013.csv.gz` below
$FER_EDGE_DATA), three sets of each size, and compares on a thousand other Training images: PublicTest, which judges
the result, chooses nothing. With --corrected each is tried with corrected biases too (docs/corrections.md). Prints a
Markdown table of means over the three sets.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
from pathlib import Path

from fer_edge.preprocess import PixelCoding
from fer_edge_convert.calibration import draw_calibration, draw_selection
from fer_edge_convert.conversion_data import read_conversion_data
from fer_edge_convert.inputs import SourceOptions, read_source
from fer_edge_convert.quantizers import CalibratedModel
from fer_edge_convert.quiet import require_converters
from fer_edge_convert.ranges import METHODS
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.trials import Trial, Trials

SEEDS = (2013, 2014, 2015)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/mini_xception"))
    parser.add_argument("--engines", nargs="+", default=["litert", "onnx"])
    parser.add_argument("--per-class", nargs="+", type=int, default=[5, 20, 100])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--corrected", action="store_true", help="with corrected biases too")
    arguments = parser.parse_args()
    require_converters()
    source = read_source(arguments.model, SourceOptions())
    csv_path = Path(os.environ["FER_EDGE_DATA"]) / "fer2013" / "fer2013.csv.gz"
    data = read_conversion_data(str(csv_path), None, source.input_shape_hwc)
    coding = PixelCoding(mean=source.pixel_mean, std=source.pixel_std)
    # The same faces choose between all sets: none of them is in the largest of any seed's.
    largest = [draw_calibration(data.pool, per_class=max(arguments.per_class), seed=seed) for seed in SEEDS]
    pool = data.pool
    for drawn in largest:
        pool = pool.without_images_of(drawn.faces)
    selection = draw_selection(pool, None, seed=SEEDS[0])

    found: dict[tuple[str, int, str], list[Trial]] = {}
    table = coding.table()
    for per_class in arguments.per_class:
        for seed in SEEDS:
            calibration = draw_calibration(data.pool, per_class=per_class, seed=seed)
            model = CalibratedModel(
                source.model, coding.encode(calibration.faces.images), (float(table[0]), float(table[-1]))
            )
            trials = Trials(model, coding, selection)
            for engine in arguments.engines:
                for method, corrected in itertools.product(arguments.methods, (False, True)[: 1 + arguments.corrected]):
                    trial = trials.run(engine, "int8", VariantRecipe(method=method, bias_correction=corrected))
                    name = f"{method}, corrected" if corrected else method
                    found.setdefault((engine, per_class, name), []).append(trial)
                    sys.stderr.write(f"{engine}, {per_class} per class, seed {seed}, {name}: {trial.divergence:.5f}\n")

    print("| engine | images per class | method | divergence / 0.001 nat (of each set) | same label / % |")
    print("| --- | ---: | --- | --- | ---: |")
    for (engine, per_class, method), items in found.items():
        each = ", ".join(f"{1e3 * item.divergence:.2f}" for item in items)
        mean = 1e3 * statistics.mean(item.divergence for item in items)
        agreement = 100 * statistics.mean(item.agreement for item in items)
        print(f"| {engine} | {per_class} | {method} | {mean:.2f} ({each}) | {agreement:.1f} |")


if __name__ == "__main__":
    main()
