"""What a stage of the pipeline is given in use."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.stage import Stage

__all__ = ["RecordingStage"]

Pixels = npt.NDArray[np.uint8]


class RecordingStage(Stage):
    """A stage that keeps the pixels it is run on, all of one size."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See Stage."""
        super().__init__(*arguments, **options)
        self._seen: list[Pixels] = []

    def run(self, pixels: Pixels) -> tuple[npt.NDArray[np.float32], ...]:
        """See Stage.run."""
        self._seen.append(pixels.copy())
        return super().run(pixels)

    def take(self) -> Pixels:
        """Return what the stage was run on since this was last called, uint8 (n, h, w, c) in order; n may be 0."""
        seen, self._seen = self._seen, []
        width, height = self.input_size_wh or (0, 0)
        return np.concatenate(seen) if seen else np.empty((0, height, width, self.channels), np.uint8)
