"""What a conversion tells people: record, tables, pictures, and what they should be warned of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.machine import machine_summary
from fer_edge_convert.conversion_pictures import (
    plot_drops,
    plot_pareto,
    plot_search,
    plot_sensitivities,
    plot_tensor_errors,
)
from fer_edge_convert.convert import Conversion
from fer_edge_convert.measuring import VariantFigures
from fer_edge_convert.search import SearchOutcome
from fer_edge_train.plots import plot_confusion
from fer_edge_train.reports.document import Block, Code, Heading, Paragraph, Picture, Table

__all__ = ["CONVERSION_SCHEMA", "conversion_record", "conversion_sections", "conversion_warnings"]

CONVERSION_SCHEMA = "fer-edge/conversion-record/1"

_LIMITS = (
    "Times are of this machine with one thread, the files taking turns; for a device's own run fer-edge bench there.",
    "The classes say how a face looks to the people who labelled the data, never what a person feels.",
)


def conversion_record(made: Conversion, command: str) -> dict[str, Any]:
    """Return all figures of a conversion as JSON types."""
    manifest = made.manifest
    return {
        "schema": CONVERSION_SCHEMA,
        "fer_edge_version": __version__,
        "command": command,
        "bundle": {"name": manifest.name, "version": manifest.version},
        "classifier": manifest.provenance["classifier"],
        "data": made.data.to_json(),
        "calibration": dict(manifest.calibration),
        "recipe": manifest.provenance["quantization"],
        "float_model": made.float_model.to_json(),
        "files": [
            {
                "engine": figures.engine,
                "precision": figures.precision,
                "bytes": figures.n_bytes,
                "latency_ms_p50": round(latency_ms, 4),
                "measured": figures.to_json(),
            }
            for figures, latency_ms in zip(made.figures, made.latencies_ms, strict=True)
        ],
        "tensor_errors": {
            engine: [
                {"tensor": item.name, "sqnr_db": round(item.sqnr_db, 2) if math.isfinite(item.sqnr_db) else None}
                for item in errors
            ]
            for engine, errors in made.tensor_errors.items()
        },
        "detector": {item.engine: item.to_json() for item in made.detector_figures},
        "searches": [outcome.to_json() for outcome in made.searches],
        "fine_tuning": manifest.provenance.get("fine_tuning", []),
        "warnings": conversion_warnings(made),
        "versions": manifest.provenance["versions"],
        "machine": machine_summary(),
    }


def conversion_warnings(made: Conversion) -> list[str]:
    """Return what a person should know before shipping the files."""
    found = []
    latencies = {
        (figures.engine, figures.precision): latency_ms
        for figures, latency_ms in zip(made.figures, made.latencies_ms, strict=True)
    }
    for (engine, precision), latency_ms in latencies.items():
        in_float = latencies.get((engine, "float32"))
        if precision != "float32" and in_float is not None and latency_ms > in_float:
            found.append(
                f"{engine} {precision} is slower than float32 here: {latency_ms:.3f} ms against {in_float:.3f} ms"
            )
    for figures in made.figures:
        high = figures.drop_interval95[1]
        if high > made.max_drop_points:
            found.append(
                f"{figures.engine} {figures.precision} may lose more than {made.max_drop_points:g} points: "
                f"the 95 % interval of its drop ends at {high:+.2f}"
            )
    for tuning in made.manifest.provenance.get("fine_tuning", []):
        found += [
            f"{engine} int8 lost {lost:+.2f} points, so its weights were fine-tuned ({tuning['epochs']} epochs on "
            f"{tuning['images']:,} training faces); its drop is still that against the network as it was given"
            for engine, lost in tuning["drop_points_before"].items()
        ]
    float_model = made.float_model
    commonest = max(float_model.confusion.sum(axis=1)) / max(float_model.confusion.sum(), 1)
    if float_model.accuracy.low <= commonest:
        found.append(
            f"the network itself is right on {100 * float_model.accuracy.top1:.1f} % of the faces, and who always "
            f"says the commonest class on {100 * commonest:.1f} %: a drop against such a network means nothing"
        )
    if made.data.n_shared:
        found.append(
            f"{made.data.n_shared} training images are in the held-out part too; they calibrated nothing, but the "
            "network may have been trained on them"
        )
    return found


def conversion_sections(folder: Path, made: Conversion, record: Mapping[str, Any]) -> list[Block]:
    """Draw the pictures of a conversion into `folder` and return the report's contents."""
    held_out = made.data.held_out
    plot_drops(made.figures, folder / "drops.png")
    plot_pareto(made.figures, made.latencies_ms, folder / "pareto.png")
    blocks: list[Block] = [
        Paragraph(
            text=f"{record['classifier']['model']['name']}, measured on {held_out.title}: the network itself is right "
            f"on {made.float_model.accuracy} of the faces. A drop is top-1 lost against it on the same faces, with the "
            "95 % interval of the paired answers."
        ),
        _files_table(made),
        Picture(file="drops.png", caption="Top-1 lost against the network, in points, with 95 % intervals"),
        Picture(file="pareto.png", caption="Top-1 of each file over its bytes and over its time here"),
        *_detector_sections(made),
        Heading(text="Warnings"),
        *(Paragraph(text=text) for text in record["warnings"] or ["None."]),
        Heading(text="Calibration and data"),
        _facts_table(made),
        *_class_sections(folder, made),
        *_error_sections(folder, made),
    ]
    for outcome in made.searches:
        blocks += _search_sections(folder, outcome)
    return [
        *blocks,
        Heading(text="Recipe"),
        Paragraph(text="With --recipe, this repeats the quantization; it is in the bundle's manifest too."),
        Code(text=json.dumps(record["recipe"], indent=1)),
        Heading(text="Limits"),
        *(Paragraph(text=text) for text in _LIMITS),
        Heading(text="How to make this again"),
        Code(text=str(record["command"])),
        Table(
            header=("made with", "version"),
            rows=(
                ("fer-edge", __version__),
                *((name, str(version)) for name, version in record["versions"].items()),
                ("machine", str(record["machine"]["cpu"])),
            ),
        ),
        Paragraph(text="All figures are in record.json beside this report."),
    ]


def _files_table(made: Conversion) -> Table:
    return Table(
        header=("file", "bytes", "top-1 / %", "drop / points", "same label / %", "largest difference", "ms here"),
        rows=tuple(
            (
                f"{figures.engine} {figures.precision}",
                f"{figures.n_bytes:,}",
                f"{100 * figures.evaluation.accuracy.top1:.2f}",
                "{:+.2f} ({:+.2f} to {:+.2f})".format(figures.drop_points, *figures.drop_interval95),
                f"{100 * figures.agreement:.1f}",
                f"{figures.largest_difference:.3f}",
                f"{latency_ms:.3f}",
            )
            for figures, latency_ms in zip(made.figures, made.latencies_ms, strict=True)
        ),
    )


def _detector_sections(made: Conversion) -> list[Block]:
    if not made.detector_figures:
        return []
    sides = list(made.detector_figures[0].average_precision)
    return [
        Heading(text="Detector"),
        Paragraph(
            text=f"Average precision of the whole cascade on {made.detector_figures[0].n_photos:,} photos, faces whose "
            "shorter side is at least so long, and points lost against the float cascade. Rounding pushes single boxes "
            "over a threshold either way: half a point is none."
        ),
        Table(
            header=("cascade", "bytes", *(f"from {side} px / %" for side in sides), *(f"lost, {s} px" for s in sides)),
            rows=tuple(
                (
                    item.engine,
                    f"{item.n_bytes:,}",
                    *(f"{100 * item.average_precision[side]:.2f}" for side in sides),
                    *(f"{item.lost_points()[side]:+.2f}" for side in sides),
                )
                for item in made.detector_figures
            ),
        ),
    ]


def _facts_table(made: Conversion) -> Table:
    calibration = made.manifest.calibration
    drawn = (
        (
            ("calibrated on", str(calibration["data"])),
            ("images", f"{calibration['images']:,}, {calibration['images_per_class']} of each class"),
            ("seed", str(calibration["seed"])),
            ("their digest (SHA-256)", str(calibration["digest"])),
        )
        if calibration
        else (("calibrated on", "nothing"),)
    )
    held_out = made.data.held_out
    return Table(
        header=("what", "value"),
        rows=(
            *drawn,
            ("measured on", f"{held_out.title}, {len(held_out.faces):,} faces"),
            ("their digest (SHA-256)", held_out.faces.digest()),
        ),
    )


def _class_sections(folder: Path, made: Conversion) -> list[Block]:
    """Confusion of the network and of each engine's first file, and what each class loses."""
    shown = _first_of_each_engine(made.figures)
    blocks: list[Block] = [
        Heading(text="Classes"),
        Table(
            header=("recall of", "network / %", *(f"{item.engine} {item.precision} / %" for item in shown)),
            rows=tuple(
                (
                    label,
                    _percent(made.float_model.recall[label]),
                    *(_percent(item.evaluation.recall[label]) for item in shown),
                )
                for label in made.float_model.labels
            ),
        ),
    ]
    named = [("network", made.float_model), *((f"{item.engine} {item.precision}", item.evaluation) for item in shown)]
    for name, evaluation in named:
        file = f"confusion_{name.replace(' ', '_')}.png"
        plot_confusion(
            evaluation.confusion, evaluation.labels, f"{name}: labelled and predicted classes", folder / file
        )
        blocks.append(Picture(file=file, caption=f"Confusion of {name}: % of the labelled class, number of faces"))
    return blocks


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _first_of_each_engine(figures: Sequence[VariantFigures]) -> list[VariantFigures]:
    return list({item.engine: item for item in reversed(figures)}.values())[::-1]


def _error_sections(folder: Path, made: Conversion) -> list[Block]:
    if not made.tensor_errors:
        return []
    plot_tensor_errors(made.tensor_errors, folder / "sqnr.png")
    worst = {engine: min(errors, key=lambda item: item.sqnr_db) for engine, errors in made.tensor_errors.items()}
    return [
        Heading(text="Where int8 loses"),
        Paragraph(
            text="Signal to quantization noise of each activation, in the order of computation, with all that came "
            "before it: a sudden fall is a layer that int8 suits badly, a slow one is noise that adds up. "
            + " ".join(f"Lowest in {engine}: {item.sqnr_db:.1f} dB, {item.name}." for engine, item in worst.items())
        ),
        Picture(file="sqnr.png", caption="Signal to quantization noise ratio of each activation, in dB"),
    ]


def _search_sections(folder: Path, outcome: SearchOutcome) -> list[Block]:
    name = f"{outcome.engine} {outcome.precision}"
    files = [f"{kind}_{outcome.engine}.png" for kind in ("search", "sensitivity")]
    plot_search(outcome, folder / files[0])
    plot_sensitivities(outcome, folder / files[1])
    return [
        Heading(text=f"Search for {name}"),
        Paragraph(
            text="Tried on training faces that neither calibrated nor are measured on. Divergence: mean "
            "Kullback-Leibler divergence of the probabilities from the network's."
        ),
        Picture(file=files[0], caption=f"{name}: divergence and bytes of each recipe tried, and the one chosen"),
        Table(
            header=("recipe", "bytes", "divergence / nats", "same label / %", "drop / points"),
            rows=tuple(
                (
                    point.recipe.method
                    + (f", {len(point.recipe.float_layers)} layers in float32" if point.recipe.float_layers else "")
                    + (" (chosen)" if point == outcome.chosen else ""),
                    f"{point.trial.n_bytes:,}",
                    f"{point.trial.divergence:.5f}",
                    f"{100 * point.trial.agreement:.1f}",
                    f"{point.trial.drop_points:+.2f}",
                )
                for point in outcome.points
            ),
        ),
        Picture(file=files[1], caption=f"{name}: divergence that goes away when one layer stays in float32"),
    ]
