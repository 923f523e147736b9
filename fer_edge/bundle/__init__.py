"""The bundle: models, their specification and their digests, the only thing the runtime loads."""

from fer_edge.bundle.golden_entries import GoldenOutputs, GoldenPixels
from fer_edge.bundle.manifest import FileEntry, Manifest, StageSpec, Variant
from fer_edge.bundle.store import Bundle, default_bundle_path

__all__ = [
    "Bundle",
    "FileEntry",
    "GoldenOutputs",
    "GoldenPixels",
    "Manifest",
    "StageSpec",
    "Variant",
    "default_bundle_path",
]
