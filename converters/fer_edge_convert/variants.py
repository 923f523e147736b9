"""A network's files for the engines and precisions asked for, described as the manifest wants them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fer_edge.bundle import FileEntry, Variant
from fer_edge.engines import Engine, EngineOptions, load_engine
from fer_edge.errors import UsageError
from fer_edge.files import sha256_hex
from fer_edge_convert.float_model import FloatModel
from fer_edge_convert.litert import compact_litert
from fer_edge_convert.litert_edges import with_uint8_edges
from fer_edge_convert.precisions import ENGINE_PRECISIONS, recipe_name
from fer_edge_convert.quantizers import CalibratedModel, Converted, quantizer_for
from fer_edge_convert.recipe import QuantizationRecipe, VariantRecipe

__all__ = ["MadeVariant", "describe_variant", "make_variants", "wanted_variants"]

_SUFFIXES = {"litert": ("tflite",), "onnx": ("onnx",), "openvino": ("xml.gz", "bin")}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVariant:
    """A variant and the bytes of its files, in the order of Variant.files()."""

    variant: Variant
    contents: tuple[bytes, ...]


def wanted_variants(engines: Iterable[str], precisions: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of engine and precision to make: each engine's in the order in which they were asked for.

    Raises:
        UsageError: nothing converts for an engine, or none of the engines has a precision.
    """
    pairs = []
    for engine in engines:
        if engine not in ENGINE_PRECISIONS:
            raise UsageError(
                f"nothing converts for the engine {engine!r}; expected one of {', '.join(ENGINE_PRECISIONS)}"
            )
        pairs += [(engine, precision) for precision in precisions if precision in ENGINE_PRECISIONS[engine]]
    for precision in precisions:
        if precision not in {made for _, made in pairs}:
            able = [name for name, found in ENGINE_PRECISIONS.items() if precision in found]
            raise UsageError(f"--{precision} is made for {', '.join(able)} alone; name one of them with --to")
    for engine in engines:
        if not any(made == engine for made, _ in pairs):
            raise UsageError(
                f"{engine} has none of the precisions asked for; it has {', '.join(ENGINE_PRECISIONS[engine])}"
            )
    return pairs


def make_variants(
    stage: str,
    model: CalibratedModel,
    *,
    output_lengths: Sequence[int],
    variants: Iterable[tuple[str, str]],
    recipe: QuantizationRecipe,
    uint8_edges: bool = False,
) -> list[MadeVariant]:
    """Convert a network for each engine and precision, in that order.

    Args:
        stage: name of the stage, the beginning of the files' names.
        model: the network; each of its outputs has another last length.
        output_lengths: the outputs' last lengths in the order that the stage's code takes them.
        variants: engines and precisions, of `wanted_variants`.
        recipe: how each is quantized.
        uint8_edges: LiteRT's int8 file takes and gives uint8.

    Raises:
        InputError: the network cannot be converted for an engine, the recipe is of another network, or an edge that was
            to be uint8 stays in float32.
        UsageError: a precision needs calibration images and there are none.
    """
    made = []
    for engine, precision in variants:
        variant_recipe = recipe.variant(engine, precision)
        converted = quantizer_for(engine, model).convert(precision, variant_recipe)
        if uint8_edges and (engine, precision) == ("litert", "int8"):
            converted = Converted(contents=(compact_litert(with_uint8_edges(converted.contents[0])),))
        made.append(describe_variant(stage, engine, precision, converted, model.model, output_lengths, variant_recipe))
    return made


def describe_variant(
    stage: str,
    engine_name: str,
    precision: str,
    converted: Converted,
    model: FloatModel,
    output_lengths: Sequence[int],
    recipe: VariantRecipe,
) -> MadeVariant:
    """Name the files, and read the tensors' specifications from the engine that will run them.

    Raises:
        EngineError: the engine cannot load the files.
    """
    engine: Engine = load_engine(engine_name)
    contents = converted.contents
    # Any concrete shape will do to load the file; P-Net's free height and width need at least its 12 px field.
    concrete = (1, *(length or 12 for length in model.input_shape[1:]))
    session = engine.load(
        contents[0], EngineOptions(input_shapes=(concrete,)), weights=contents[1] if len(contents) > 1 else None
    )
    entries = [
        FileEntry(file=f"{stage}_{precision}.{suffix}", bytes=len(data), sha256=sha256_hex(data))
        for suffix, data in zip(_SUFFIXES[engine_name], contents, strict=True)
    ]
    # Converters reorder and rename outputs; each is known by its last length, and gets its free shape back.
    found = {spec.shape[-1]: spec for spec in converted.outputs or session.outputs}
    free = {shape[-1]: shape for shape in model.output_shapes}
    variant = Variant(
        engine=engine.name,
        precision=precision,
        model=entries[0],
        weights=entries[1] if len(entries) > 1 else None,
        inputs=tuple(replace(spec, shape=model.input_shape) for spec in converted.inputs or session.inputs),
        outputs=tuple(replace(found[length], shape=free[length]) for length in output_lengths),
        tested_with=engine.version(),
        recipe=recipe_name(engine.name, precision, mixed=bool(recipe.float_layers)),
    )
    return MadeVariant(variant=variant, contents=contents)
