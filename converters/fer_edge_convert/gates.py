"""What a file must reach to be shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge.errors import GateError, UsageError
from fer_edge_convert.measuring import VariantFigures

__all__ = ["MIN_HELD_OUT_IMAGES", "Gates"]

# With fewer, a drop of a point is within what chance does.
MIN_HELD_OUT_IMAGES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Bounds for each classifier file.

    Attributes:
        max_drop_points: largest loss of top-1 against the network itself, in points.
        max_bytes: largest size of the files; None for any.
        max_latency_ms: largest median time of one face with one thread on this machine; None for any.
        min_images: held-out faces needed to judge at all.
    """

    max_drop_points: float = 1.0
    max_bytes: int | None = None
    max_latency_ms: float | None = None
    min_images: int = MIN_HELD_OUT_IMAGES

    def check_images(self, n: int, title: str) -> None:
        """Refuse to judge on too few faces.

        Raises:
            UsageError: there are fewer than `min_images`.
        """
        if n < self.min_images:
            raise UsageError(
                f"{title}: expected at least {self.min_images} held-out faces, found {n}: too few to tell a drop of "
                "a point from chance; name a larger data set with --measure"
            )

    def misses(self, figures: VariantFigures, latency_ms: float) -> list[str]:
        """Return what a file misses, a clause for each; an empty list where it passes."""
        found = []
        if figures.drop_points > self.max_drop_points:
            found.append(
                f"loses {figures.drop_points:.2f} points of top-1 on {figures.evaluation.accuracy.n} faces, "
                f"at most {self.max_drop_points:g} are let through"
            )
        if self.max_bytes is not None and figures.n_bytes > self.max_bytes:
            found.append(f"has {figures.n_bytes} bytes, at most {self.max_bytes} are let through")
        if self.max_latency_ms is not None and latency_ms > self.max_latency_ms:
            found.append(f"takes {latency_ms:.3f} ms a face here, at most {self.max_latency_ms:g} are let through")
        return found

    def check(self, figures: Sequence[VariantFigures], latencies_ms: Sequence[float], hint: str) -> None:
        """Let all files through or none.

        Args:
            figures: of each file.
            latencies_ms: of each file, in the same order.
            hint: what to do where one misses.

        Raises:
            GateError: a file misses a bound; the message names each.
        """
        missed = [
            f"{found.name} {clause}"
            for found, latency_ms in zip(figures, latencies_ms, strict=True)
            for clause in self.misses(found, latency_ms)
        ]
        if missed:
            raise GateError(f"{'; '.join(missed)}; nothing was written; {hint}")
