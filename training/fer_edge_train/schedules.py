"""Learning rates over a run: functions of the step and of the epochs behind it, so a resumed run goes on alike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["NEED_HELD_OUT", "SCHEDULES", "rate_factor"]

Curve = Sequence[dict[str, Any]]

_ONE_CYCLE_RISE = 0.2
_COSINE_RISE = 0.02
# Keras' ReduceLROnPlateau waits 10 epochs and multiplies by 0.1; a gentler factor loses less to a noisy held-out loss.
_PLATEAU_EPOCHS, _PLATEAU_FACTOR = 10, 0.3
_ATTENUATION_EPOCHS, _ATTENUATION_FACTOR = 5, 0.05


def rate_factor(schedule: str, step: int, n_steps: int, curve: Curve) -> float:
    """Return what the peak rate is multiplied by at one step.

    Args:
        schedule: one of SCHEDULES.
        step: optimizer steps done in the whole run.
        n_steps: steps of the whole run.
        curve: figures of the epochs done; the last two schedules read their "val_loss".
    """
    return SCHEDULES[schedule](step, n_steps, curve)


def _cosine_after_rise(step: int, n_steps: int, rise_fraction: float) -> float:
    done = (step + 0.5) / n_steps  # the middle of the step: neither the first nor the last is without effect
    along = min(max((done - rise_fraction) / (1.0 - rise_fraction), 0.0), 1.0)
    return min(done / rise_fraction, 0.5 * (1.0 + math.cos(math.pi * along)))


def _one_cycle(step: int, n_steps: int, curve: Curve) -> float:  # noqa: ARG001 - all schedules are called alike
    """Linear rise, then half a cosine down to zero (Smith and Topin, "Super-convergence", 2018)."""
    return _cosine_after_rise(step, n_steps, _ONE_CYCLE_RISE)


def _cosine(step: int, n_steps: int, curve: Curve) -> float:  # noqa: ARG001 - all schedules are called alike
    """Half a cosine down to zero (Loshchilov and Hutter, "SGDR", 2017, without restarts) after a short rise."""
    return _cosine_after_rise(step, n_steps, _COSINE_RISE)


def _constant(step: int, n_steps: int, curve: Curve) -> float:  # noqa: ARG001 - all schedules are called alike
    return 1.0


def _plateau(step: int, n_steps: int, curve: Curve) -> float:  # noqa: ARG001 - all schedules are called alike
    """Multiply by 0.3 whenever the held-out loss has not fallen for ten epochs."""
    factor, best, waited = 1.0, math.inf, 0
    for row in curve:
        if row["val_loss"] < best:
            best, waited = row["val_loss"], 0
            continue
        waited += 1
        if waited == _PLATEAU_EPOCHS:
            factor, waited = factor * _PLATEAU_FACTOR, 0
    return factor


def _attenuation(step: int, n_steps: int, curve: Curve) -> float:  # noqa: ARG001 - all schedules are called alike
    """Every five epochs, where the held-out loss rose since the last look, go on with 5 % of the rate.

    Jin, Yang, Wei, "light network from Inception V3", section on the learning rate: the text leaves open whether a
    later rise attenuates again; its "until the rate attenuates to 0" is read as yes.
    """
    looks = [row["val_loss"] for row in curve[_ATTENUATION_EPOCHS - 1 :: _ATTENUATION_EPOCHS]]
    rises = sum(later > earlier for earlier, later in itertools.pairwise(looks))
    return float(_ATTENUATION_FACTOR**rises)


SCHEDULES: dict[str, Callable[[int, int, Curve], float]] = {
    "one-cycle": _one_cycle,
    "cosine": _cosine,
    "constant": _constant,
    "plateau": _plateau,
    "attenuation": _attenuation,
}
NEED_HELD_OUT = frozenset({"plateau", "attenuation"})
