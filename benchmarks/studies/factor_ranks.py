"""Which ranks should a network's convolutions have to stay within a number of parameters? One line a convolution.

    python benchmarks/studies/factor_ranks.py models/resnet_large --data fer2013.csv.gz --parameters 2490000

The outputs of the convolutions with 3 x 3 kernels in the stages asked for are looked at on 2,048 training images,
evenly spaced; `fer_edge_train.low_rank.choose_ranks` then takes ranks away where they hold the least variance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fer_edge_train.backend import import_keras

keras = import_keras()

from fer_edge_train.kinship import check_held_out, check_kinship  # noqa: E402 - the backend is chosen first
from fer_edge_train.low_rank import LayerCost, choose_ranks, factored_names, output_moments  # noqa: E402
from fer_edge_train.model_folder import read_classifier  # noqa: E402
from fer_edge_train.recipe import Recipe  # noqa: E402
from fer_edge_train.start import factoring_images  # noqa: E402
from fer_edge_train.training_data import read_training_data  # noqa: E402

# What decides which images a network is trained on, beside the data.
DIVISION = ("validation_fraction", "test_share", "keep_test_copies", "by_subject", "split_seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder made by fer-edge train")
    parser.add_argument("--data", required=True, action="append", help="what it was trained on")
    parser.add_argument("--parameters", type=int, required=True, help="of the whole factored network, at most")
    parser.add_argument("--stages", nargs="+", default=["stage2", "stage3"], help="whose convolutions are factored")
    arguments = parser.parse_args()

    source = read_classifier(arguments.model)
    asked = source.record["recipe"]
    recipe = Recipe(
        architecture=source.record["model"]["architecture"],
        input_shape_hwc=source.input_shape_hwc,
        fold=None if asked["fold"] is None else tuple(asked["fold"]),
        **{name: asked[name] for name in DIVISION},
    )
    data = read_training_data(arguments.data, recipe, votes=None, skip_bad=False)
    history = {"command": source.record["command"], "labels": source.labels, "data": source.record["data"]}
    check_kinship(history, data)
    check_held_out(history, data)
    model = keras.saving.load_model(source.path, compile=False)
    if factored_names(model):
        parser.error(f"{arguments.model} is in low rank already; name the whole network")
    costs = {}
    for layer in model.layers:
        stage, _, _ = layer.name.partition("_")
        if stage in arguments.stages and type(layer) is keras.layers.Conv2D and layer.kernel_size == (3, 3):
            height, width, channels, filters = layer.kernel.shape
            name = layer.name.removesuffix("_conv")
            costs[name] = LayerCost(
                whole=height * width * channels * filters, per_rank=height * width * channels + filters
            )
    if not costs:
        parser.error(f"--stages: {arguments.model} has no 3 x 3 convolutions in {', '.join(arguments.stages)}")
    moments = output_moments(model, list(costs), factoring_images(data.training.images))
    variances = {name: np.linalg.eigvalsh(each.covariance)[::-1] for name, each in moments.items()}
    others = model.count_params() - sum(cost.whole for cost in costs.values())
    try:
        ranks = choose_ranks(variances, costs, arguments.parameters - others)
    except ValueError as error:
        parser.error(f"--parameters: {error}, beside {others:,} of others")
    total = others + sum(ranks[name] * cost.per_rank if name in ranks else cost.whole for name, cost in costs.items())
    for name, rank in ranks.items():
        kept = variances[name][:rank].sum() / variances[name].sum()
        print(f"{name}: rank {rank} of {len(variances[name])}, {100 * kept:.1f} % of the variance")
    looked_at = 100 * (1 - others / model.count_params())
    print(
        f"{total:,} parameters, of {model.count_params():,}; {looked_at:.0f} % of these in the convolutions looked at"
    )


if __name__ == "__main__":
    main()
