"""A network's convolutions in low rank: fewer weights and multiply-adds for nearly the same answers.

The outputs of a trained convolution lie close to a subspace of fewer dimensions than it has channels. Let y be one
output (of all channels, at one place, after batch normalization), m its mean and C its covariance over images, and U
the r eigenvectors of C with the largest eigenvalues. Then

    y ~ U U' (y - m) + m

is the affine map of rank r with the smallest squared error of that layer's outputs, before the ReLU (Zhang, Zou, He,
Sun, "Accelerating Very Deep Convolutional Networks for Classification and Detection", 2016, section 3.1). U' goes into
the convolution, which then has r outputs, and U into a 1 x 1 convolution after it; the batch normalization gets the
moments that it sees while its inputs are the whole network's. The r outputs are scaled to a variance of 1: the
eigenvalues differ by orders of magnitude, and an int8 tensor has one step for all.

Each layer is fitted by itself. Fitting a layer on inputs that are factored already (Zhang's section 3.3) was tried on
resnet_large and named no more of the held-out faces rightly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_edge_train.batches import training_coding

__all__ = ["ConvolutionMoments", "LayerCost", "choose_ranks", "factor", "factored_names", "output_moments"]

_BATCH = 64
_LEAST_VARIANCE = 1e-6  # of an output, relative to the largest: one that does not vary is not blown up
Floats64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvolutionMoments:
    """Mean (c,) and covariance (c, c) of a convolution's normalized outputs, over images and places."""

    mean: Floats64
    covariance: Floats64


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """Parameters of a convolution: whole, and for each rank of its factored form."""

    whole: int
    per_rank: int


def output_moments(model: Any, names: Sequence[str], images: npt.NDArray[np.uint8]) -> dict[str, ConvolutionMoments]:
    """Return the moments of convolutions' outputs.

    Args:
        model: trained keras.Model whose layers NAME_conv are followed by NAME_bn.
        names: of the convolutions.
        images: (n, height, width, channels).

    Raises:
        ValueError: a convolution is not in the model.
    """
    taps = keras.Model(model.inputs[0], {name: model.get_layer(f"{name}_bn").output for name in names})
    sums: dict[str, Floats64] = {}
    products: dict[str, Floats64] = {}
    counts: dict[str, int] = {}
    coding = training_coding()
    for start in range(0, len(images), _BATCH):
        for name, output in taps.predict_on_batch(coding.encode(images[start : start + _BATCH])).items():
            values = np.asarray(output)
            rows = values.reshape(-1, values.shape[-1])
            sums[name] = sums.get(name, 0.0) + rows.sum(axis=0, dtype=np.float64)
            products[name] = products.get(name, 0.0) + (rows.T @ rows).astype(np.float64)
            counts[name] = counts.get(name, 0) + len(rows)
    moments = {}
    for name in names:
        mean = sums[name] / counts[name]
        covariance = products[name] / counts[name] - np.outer(mean, mean)
        moments[name] = ConvolutionMoments(mean=mean, covariance=covariance)
    return moments


def factor(wide: Any, narrow: Any, images: npt.NDArray[np.uint8]) -> None:
    """Give a network of low rank the weights that answer most like those of the whole one.

    Args:
        wide: trained keras.Model.
        narrow: keras.Model with the same layers of weights, but those NAME_conv that have fewer outputs here are
            followed by a 1 x 1 convolution NAME_expand; changed in place.
        images: (n, height, width, channels), like those it will see; a thousand or more.

    Raises:
        ValueError: the networks do not differ in this way alone, or there are no images.
    """
    names = factored_names(narrow)
    ours, theirs = ({layer.name for layer in model.layers if layer.weights} for model in (narrow, wide))
    alone = (ours - {f"{name}_expand" for name in names}) ^ theirs
    if alone:
        raise ValueError(f"expected the layers of both networks, found in one alone: {', '.join(sorted(alone))}")
    if not len(images):
        raise ValueError("expected images to look at convolutions' outputs on, found none")
    moments = output_moments(wide, names, images)
    factored = {f"{name}_{part}" for name in names for part in ("conv", "expand", "bn")}
    for layer in narrow.layers:
        if layer.get_weights() and layer.name not in factored:
            layer.set_weights(wide.get_layer(layer.name).get_weights())
    for name in names:
        _factor_layer(wide, narrow, name, moments[name])


def factored_names(model: Any) -> list[str]:
    """Return the names of a network's convolutions of low rank: NAME where it has a layer NAME_expand."""
    return [layer.name.removesuffix("_expand") for layer in model.layers if layer.name.endswith("_expand")]


def choose_ranks(
    variances: Mapping[str, Floats64], costs: Mapping[str, LayerCost], most_parameters: int, step: int = 8
) -> dict[str, int]:
    """Return ranks of convolutions that together stay within a number of parameters.

    Ranks are taken away step by step, each where it costs least for its weights: what counts is the product over layers
    of the share of variance kept (Zhang et al. 2016, section 3.4). A step is priced as if it saved weights from the
    first one on, which low rank does only where it is smaller than the whole convolution: near the best choice, not it.

    Args:
        variances: the eigenvalues of each layer's output covariance, the largest first.
        costs: of the same layers.
        most_parameters: of these layers together.
        step: ranks are multiples of it.

    Returns:
        Rank by layer, of those that are smaller in low rank.

    Raises:
        ValueError: the parameters do not suffice for the smallest ranks.
    """
    ranks = {name: len(values) for name, values in variances.items()}

    def next_lower(rank: int) -> int:
        return (rank - 1) // step * step

    def parameters() -> int:
        return sum(min(cost.whole, ranks[name] * cost.per_rank) for name, cost in costs.items())

    while parameters() > most_parameters:
        price: dict[str, float] = {}
        for name, values in variances.items():
            fewer = next_lower(ranks[name])
            kept, after = values[: ranks[name]].sum(), values[:fewer].sum()
            if fewer and after > 0.0:
                price[name] = -math.log(after / kept) / ((ranks[name] - fewer) * costs[name].per_rank)
        if not price:
            raise ValueError(
                f"expected at least {parameters():,} parameters for these layers, found {most_parameters:,}"
            )
        cheapest = min(price, key=lambda name: price[name])
        ranks[cheapest] = next_lower(ranks[cheapest])
    return {name: rank for name, rank in ranks.items() if rank * costs[name].per_rank < costs[name].whole}


def _factor_layer(wide: Any, narrow: Any, name: str, moments: ConvolutionMoments) -> None:
    (kernel,) = wide.get_layer(f"{name}_conv").get_weights()
    normalization = wide.get_layer(f"{name}_bn")
    gamma, beta, mean, variance = (values.astype(np.float64) for values in normalization.get_weights())
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    rank = narrow.get_layer(f"{name}_conv").filters
    eigenvalues, vectors = np.linalg.eigh(moments.covariance)
    basis = vectors[:, -rank:]  # (c, rank)
    # Outputs that never vary are a constant, whatever the scale of what is projected on them.
    least = max(_LEAST_VARIANCE * eigenvalues[-1], np.finfo(np.float32).tiny)
    deviations = np.sqrt(np.maximum(eigenvalues[-rank:], least)) if eigenvalues[-1] > least else np.ones(rank)
    projection = basis @ basis.T
    # The convolution's outputs without the normalization's constant, in the subspace, and their moments.
    before_mean = projection @ (moments.mean - (beta - scale * mean))
    before_variance = np.maximum(np.diag(projection @ moments.covariance @ projection), 0.0)
    narrow.get_layer(f"{name}_conv").set_weights([(kernel * scale) @ (basis / deviations)])
    narrow.get_layer(f"{name}_expand").set_weights([(basis * deviations).T[None, None]])
    after = narrow.get_layer(f"{name}_bn")
    after.set_weights([np.sqrt(before_variance + after.epsilon), moments.mean, before_mean, before_variance])
