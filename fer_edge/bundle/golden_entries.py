"""What a manifest says of golden vectors: where they lie in the bundle's golden file, and how they are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_edge.bundle.strict_json import Node
from fer_edge.errors import IntegrityError

if TYPE_CHECKING:
    from fer_edge.bundle.manifest import FileEntry, StageSpec, Variant

__all__ = [
    "MAX_GOLDEN_BYTES",
    "GoldenOutputs",
    "GoldenPixels",
    "check_golden",
    "read_golden_outputs",
    "read_golden_pixels",
]

# Enough for one face of the largest classifier, 1024 x 1024 x 3.
MAX_GOLDEN_BYTES = 4 * 1024 * 1024
_MAX_AXES = 4
# What golden outputs may be made of, and the bytes of one value.
_VALUE_BYTES = {"float32": 4, "uint8": 1, "int8": 1, "int16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPixels:
    """Where the bundle's golden file holds pixels for a stage, and the shapes of what every variant makes of them.

    Attributes:
        offset: of the first byte in the file.
        shape: of the pixels, uint8 (n, height, width, channels).
        output_shapes: of each output for the n images, in the order of the variants' outputs.
    """

    offset: int
    shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "offset": self.offset,
            "shape": list(self.shape),
            "output_shapes": [list(shape) for shape in self.output_shapes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenOutputs:
    """Where the bundle's golden file holds what a variant makes of its stage's golden pixels, and how to compare it.

    Attributes:
        offset: of the first byte in the file; the outputs follow each other, as the model's file stores them.
        reference_kernels: whether they are those of the engine's reference kernels, which must give the same bytes on
            every machine.
        tolerance: largest difference that is let through to the engine's own kernels, as a share of the range of the
            golden output, 0 to 1; 0 lets none through.
    """

    offset: int
    reference_kernels: bool
    tolerance: float

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "offset": self.offset,
            "reference_kernels": self.reference_kernels,
            "tolerance": self.tolerance,
        }


def read_golden_pixels(node: Node | None) -> GoldenPixels | None:
    """Read a stage's entry, None for null.

    Raises:
        IntegrityError: a key or value is not as the format says.
    """
    if node is None:
        return None
    golden = GoldenPixels(
        offset=_read_offset(node),
        shape=_read_shape(node, "shape", node.value("shape", list)),
        output_shapes=tuple(_read_shape(node, "output_shapes", shape) for shape in node.items("output_shapes", list)),
    )
    node.finish()
    return golden


def read_golden_outputs(node: Node | None) -> GoldenOutputs | None:
    """Read a variant's entry, None for null.

    Raises:
        IntegrityError: a key or value is not as the format says.
    """
    if node is None:
        return None
    golden = GoldenOutputs(
        offset=_read_offset(node),
        reference_kernels=node.value("reference_kernels", bool),
        tolerance=node.value("tolerance", float),
    )
    node.finish()
    if not 0 <= golden.tolerance <= 1:
        raise node.fail(f"tolerance: expected 0 to 1, found {golden.tolerance:g}")
    return golden


def check_golden(stage: StageSpec, file: FileEntry | None) -> None:
    """Compare the entries of a stage and its variants with the tensors and with the golden file.

    Raises:
        IntegrityError: an entry is missing or one too many, does not fit the tensors, or ends behind the file's end.
    """
    where = f"manifest.json, stages, {stage.name}"
    _check_presence(where, stage.golden, file)
    for variant in stage.variants:
        name = f"{where}, {variant.engine} {variant.precision}"
        _check_presence(name, variant.golden, file)
        if file and stage.golden and variant.golden:
            _check_shapes(stage, stage.golden, variant, name)
            n_output_bytes = sum(
                math.prod(shape) * _VALUE_BYTES[spec.dtype]
                for spec, shape in zip(variant.outputs, stage.golden.output_shapes, strict=True)
            )
            pixels_end = stage.golden.offset + math.prod(stage.golden.shape)
            for holder, end in ((where, pixels_end), (name, variant.golden.offset + n_output_bytes)):
                if end > file.bytes:
                    raise IntegrityError(f"{holder}, golden: expected an end within {file.bytes} bytes, found {end}")


def _check_presence(where: str, golden: GoldenPixels | GoldenOutputs | None, file: FileEntry | None) -> None:
    if golden is None and file is not None:
        raise IntegrityError(f"{where}, golden: expected an object, as the bundle has golden vectors, found null")
    if golden is not None and file is None:
        raise IntegrityError(f"{where}, golden: expected null, as the bundle has no golden vectors, found an object")


def _check_shapes(stage: StageSpec, golden: GoldenPixels, variant: Variant, where: str) -> None:
    specs = (*variant.inputs, *variant.outputs)
    shapes = (golden.shape, *golden.output_shapes)
    # P-Net runs on images of any size, so its outputs have any height and width.
    free_axes = 3 if stage.name == "pnet" else 1
    fits = len(shapes) == len(specs) and all(
        len(shape) == len(spec.shape)
        and shape[0] == golden.shape[0]
        and all(want in (None, have) for want, have in zip(spec.shape[free_axes:], shape[free_axes:], strict=True))
        for shape, spec in zip(shapes, specs, strict=True)
    )
    if not fits:
        stated, found = (", ".join(map(str, listed))[:150] for listed in ([spec.shape for spec in specs], shapes))
        raise IntegrityError(f"{where}, golden: expected shapes that fit {stated}, found {found}")
    for spec in variant.outputs:
        if spec.dtype not in _VALUE_BYTES:
            raise IntegrityError(
                f"{where}, golden: expected outputs of {', '.join(_VALUE_BYTES)}, found {spec.dtype[:20]!r}"
            )


def _read_shape(node: Node, key: str, found: list[Any]) -> tuple[int, ...]:
    if not 1 <= len(found) <= _MAX_AXES or not all(map(_is_length, found)):
        raise node.fail(f"{key}: expected 1 to {_MAX_AXES} lengths of 1 to {MAX_GOLDEN_BYTES}, found {str(found)[:60]}")
    return tuple(found)


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_GOLDEN_BYTES


def _read_offset(node: Node) -> int:
    offset = node.value("offset", int)
    if not 0 <= offset <= MAX_GOLDEN_BYTES:
        raise node.fail(f"offset: expected 0 to {MAX_GOLDEN_BYTES}, found {str(offset)[:20]}")
    return offset
