"""`fer-edge bundle`: look into a bundle, check it, pack it into one file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.command import Command

if TYPE_CHECKING:
    from fer_edge.bundle import Bundle

__all__ = ["COMMAND"]

_MAX_FIGURES = 200  # characters of one data set's figures


def _configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser("inspect", help="print what a bundle holds")
    inspect.add_argument("--json", action="store_true", help="print its manifest")
    verify = actions.add_parser("verify", help="compare every file with its digest")
    pack = actions.add_parser("pack", help="write the bundle as one uncompressed .zip")
    pack.add_argument("-o", "--output", type=Path, required=True, metavar="ZIP")
    pack.add_argument("--force", action="store_true", help="replace the file where it exists")
    for action in (inspect, verify, pack):
        action.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE", help="folder or .zip (the one installed)")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.bundle import Bundle

    bundle = Bundle.open(arguments.bundle)
    if arguments.action == "verify":
        n_files = bundle.verify()
        sys.stdout.write(f"{bundle.path}: {n_files} files are as the manifest says\n")
    elif arguments.action == "pack":
        _pack(bundle, arguments.output, force=arguments.force)
        sys.stdout.write(f"{arguments.output}\n")
    elif arguments.json:
        sys.stdout.write(json.dumps(json.loads(bundle.manifest.to_json())) + "\n")
    else:
        sys.stdout.write(_description(bundle) + "\n")
    return 0


def _description(bundle: Bundle) -> str:
    manifest = bundle.manifest
    lines = [
        f"{manifest.name} {manifest.version} ({manifest.licence}), {bundle.path}",
        f"labels: {', '.join(manifest.labels)}",
    ]
    for name, stage in manifest.stages.items():
        for variant in stage.variants:
            n_bytes = sum(entry.bytes for entry in variant.files())
            line = f"{name:<11} {variant.engine:<9} {variant.precision:<8} {n_bytes:>9} bytes"
            for data, figures in variant.measured.items():
                line += f"  {data} {_figures_text(figures)}"
            lines.append(line)
    lines.extend(manifest.attribution)
    return "\n".join(lines)


def _figures_text(figures: Any) -> str:
    """Return a classifier's figures as `fer-edge convert` writes them in words, any others as JSON."""
    match figures:
        case {"top1": float(top1), "interval95": [float(low), float(high)], "n": int(n), "drop_points": float(drop)}:
            return f"{100 * top1:.2f} % ({100 * low:.2f} to {100 * high:.2f}, n = {n}), drop {drop:+.2f} points"
    text = json.dumps(figures)
    return text if len(text) <= _MAX_FIGURES else f"{text[:_MAX_FIGURES]}…"


def _pack(bundle: Bundle, target: Path, *, force: bool) -> None:
    import zipfile

    from fer_edge.bundle.store import MANIFEST_NAME
    from fer_edge.files import atomic_path, ensure_writable_target

    ensure_writable_target(target, force=force)
    contents = {MANIFEST_NAME: bundle.manifest_bytes}
    for stage in bundle.manifest.stages.values():
        for variant in stage.variants:
            for entry in variant.files():
                contents[entry.file] = bundle.read(entry)
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            # A fixed date: the same bundle gives the same archive.
            archive.writestr(zipfile.ZipInfo(name), data)


COMMAND = Command(summary="inspect, verify or pack a bundle", configure=_configure, run=_run)
