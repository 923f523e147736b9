"""How an enhancer is trained, as plain data: what makes the same run again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fer_edge.errors import UsageError
from fer_edge_train.preparation.haze import Haze

__all__ = ["EnhancerRecipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhancerRecipe:
    """A small FFA-Net on synthetic haze; the defaults train in minutes on one CPU core.

    Attributes:
        groups, blocks, filters: of the network; the paper has 3, 19 and 64.
        channels: 1 for gray, 3 for colour.
        epochs: number of passes.
        pictures_per_epoch: pictures drawn for each pass, each with new haze.
        batch_size: pictures per step.
        peak_rate: largest learning rate of Adam; it rises over 5 % of the steps and falls along half a cosine.
        held_out: pictures of the training split that are never trained on; PSNR is measured on them.
        seed: of weights, order, haze and what is held out.
        haze: of the training pictures; a tenth stays clear, so that the network learns to leave those alone.
    """

    groups: int = 2
    blocks: int = 2
    filters: int = 16
    channels: int = 1
    epochs: int = 16
    pictures_per_epoch: int = 2000
    batch_size: int = 16
    peak_rate: float = 2e-3
    held_out: int = 256
    seed: int = 2020
    haze: Haze = field(default_factory=lambda: Haze(clear_share=0.1))

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UsageError(f"channels: expected 1 (gray) or 3 (colour), found {self.channels}")
        bounds: dict[str, tuple[float, float]] = {
            "groups": (1, 16),
            "blocks": (1, 64),
            "filters": (8, 256),
            "epochs": (1, 100_000),
            "pictures_per_epoch": (1, 10_000_000),
            "batch_size": (1, 4096),
            "peak_rate": (1e-8, 1.0),
            "held_out": (1, 100_000),
            "seed": (0, 2**32 - 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name}: expected {low:.10g} to {high:.10g}, found {value:.10g}")
        if self.filters % 8:
            raise UsageError(f"filters: expected a multiple of 8, found {self.filters}")

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON types."""
        data = asdict(self)
        for name in ("airlight_range", "transmission_range"):
            data["haze"][name] = list(data["haze"][name])
        return data

    def differences(self, other_json: dict[str, Any]) -> list[str]:
        """Name the fields in which a recipe's JSON differs from this one."""
        mine = self.to_json()
        return [item.name for item in fields(self) if mine[item.name] != other_json.get(item.name)]
