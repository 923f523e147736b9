"""How much of each activation quantization leaves: signal to quantization noise ratio, tensor by tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge_convert.ranges import Observer

__all__ = ["TensorError", "tensor_errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorError:
    """One activation's error, with all that came before it.

    Attributes:
        name: of the tensor in the float file.
        sqnr_db: 10 log10 of its mean square over that of its error; infinite where there is none.
    """

    name: str
    sqnr_db: float


def tensor_errors(
    run_float: Observer, run_quantized: Observer, images: npt.NDArray[np.float32]
) -> tuple[TensorError, ...]:
    """Compare the activations that both observers name, in the float file's order.

    Args:
        run_float: of the float file.
        run_quantized: of the quantized one.
        images: float32 (n, h, w, c), coded as the network takes them.
    """
    expected, found = run_float(images), run_quantized(images)
    errors = []
    for name, values in expected.items():
        if name not in found or found[name].shape != values.shape:
            continue
        signal = float(np.square(values, dtype=np.float64).mean())
        noise = float(np.square(values - found[name], dtype=np.float64).mean())
        sqnr_db = math.inf if noise == 0 else -math.inf if signal == 0 else 10 * math.log10(signal / noise)
        errors.append(TensorError(name=name, sqnr_db=sqnr_db))
    return tuple(errors)
