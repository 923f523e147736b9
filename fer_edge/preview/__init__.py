"""A page in the browser that shows a run while it goes on."""

from fer_edge.preview.server import PreviewServer

__all__ = ["PreviewServer"]
