"""Which precisions each engine's files can have, and what their recipes are called."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ENGINE_PRECISIONS", "recipe_name"]

# In the order in which a device is likely to want them.
ENGINE_PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "litert": ("int8", "int16", "dynamic-int8", "float16", "float32"),
    "onnx": ("int8", "float16", "float32"),
    "openvino": ("int8", "float16", "float32"),
}
# After ai-edge-quantizer's names: how, type and bits of weights, type and bits of activations.
_RECIPE_NAMES: Mapping[str, str | None] = {
    "int8": "static_wi8_ai8",
    "int16": "static_wi8_ai16",
    "dynamic-int8": "dynamic_wi8_afp32",
    "float16": "weight_only_wfp16_afp32",
    "float32": None,
}
_ONNX_FLOAT16 = "wfp16_afp16"  # ONNX Runtime computes in it


def recipe_name(engine: str, precision: str, *, mixed: bool) -> str | None:
    """Return what a manifest calls the way a file was quantized; None for float32.

    Args:
        engine: of the file.
        precision: of the file.
        mixed: whether layers stay in float32.
    """
    name = _ONNX_FLOAT16 if (engine, precision) == ("onnx", "float16") else _RECIPE_NAMES[precision]
    return f"{name}_mixed" if name and mixed else name
