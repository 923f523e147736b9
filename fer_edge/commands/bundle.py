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
    verify.add_argument("--golden", action="store_true", help="run every model on its golden vectors, too")
    verify.add_argument("--json", action="store_true", help="print what was found as JSON")
    pack = actions.add_parser("pack", help="write the bundle as one uncompressed .zip")
    pack.add_argument("-o", "--output", type=Path, required=True, metavar="ZIP")
    pack.add_argument("--force", action="store_true", help="replace the file where it exists")
    for action in (inspect, verify, pack):
        action.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE", help="folder or .zip (the one installed)")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge.bundle import Bundle

    bundle = Bundle.open(arguments.bundle)
    if arguments.action == "verify":
        _verify(bundle, golden=arguments.golden, as_json=arguments.json)
    elif arguments.action == "pack":
        _pack(bundle, arguments.output, force=arguments.force)
        sys.stdout.write(f"{arguments.output}\n")
    elif arguments.json:
        sys.stdout.write(json.dumps(json.loads(bundle.manifest.to_json())) + "\n")
    else:
        sys.stdout.write(_description(bundle) + "\n")
    return 0


def _verify(bundle: Bundle, *, golden: bool, as_json: bool) -> None:
    from fer_edge.golden import NotReplayed, Replay, check_replays, replay_golden

    n_files = bundle.verify()
    if not as_json:
        sys.stdout.write(f"{bundle.path}: {n_files} files are as the manifest says\n")
    replays: list[Replay | NotReplayed] = []
    for replay in replay_golden(bundle) if golden else ():
        replays.append(replay)
        if not as_json:
            sys.stdout.write(replay.to_text() + "\n")
    if as_json:
        findings = {
            "schema": "fer-edge/bundle-verification/1",
            "bundle": str(bundle.path),
            "files": n_files,
            "golden": [replay.to_json() for replay in replays] if golden else None,
        }
        sys.stdout.write(json.dumps(findings) + "\n")
    if golden:
        check_replays(bundle, replays)


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
    contents |= {entry.file: bundle.read(entry) for entry in bundle.manifest.files()}
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            # A fixed date: the same bundle gives the same archive.
            archive.writestr(zipfile.ZipInfo(name), data)


COMMAND = Command(summary="inspect, verify or pack a bundle", configure=_configure, run=_run)
