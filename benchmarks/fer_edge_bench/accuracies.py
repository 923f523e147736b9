"""How often each file of a bundle was right, as its manifest says."""

from __future__ import annotations

from fer_edge.bundle import Manifest

__all__ = ["bundle_accuracies"]


def bundle_accuracies(manifest: Manifest) -> dict[tuple[str, str], float]:
    """Return top-1 from 0 to 1 of the classifier's variants by engine and precision.

    A variant measured on several data sets gives the first; one that was not measured is left out.
    """
    found: dict[tuple[str, str], float] = {}
    for variant in manifest.stages["classifier"].variants:
        figures = next(iter(variant.measured.values()), None)
        top1 = figures.get("top1") if isinstance(figures, dict) else None
        if isinstance(top1, float):
            found.setdefault((variant.engine, variant.precision), top1)
    return found
