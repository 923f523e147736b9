"""The table of models/README.md, made from the records of the model folders.

python benchmarks/studies/model_table.py [FOLDER ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fer_edge_train.backend import import_keras
from fer_edge_train.model_folder import TRAINING_RECORD_SCHEMA
from fer_edge_train.multiply_adds import multiply_adds

TEST = "PublicTest"


def training_run(record: dict) -> dict:
    """The last run behind the weights that trained: one may only have shifted the decision."""
    while not record["curve"]:
        record = record["started_from"]
    return record


def trained_on(run: dict) -> str:
    return run.get("accelerator") or f"{run['machine']['cores']} cores of {run['machine']['cpu']}"


def row(folder: Path, record: dict) -> str:
    model, measured = record["model"], record["measured"][TEST]
    network = import_keras().saving.load_model(folder / model["file"], compile=False)
    low, high = (100 * bound for bound in measured["interval95"])
    recall, run = measured["recall"], training_run(record)
    seen = record["data"].get("test_copies_seen", {}).get(TEST)
    cells = [
        f"[{folder.name}]({folder.name}/README.md)",
        f"{model['parameters']:,}",
        f"{multiply_adds(network) / 1e6:.1f} M",
        " x ".join(str(n) for n in model["input_shape_hwc"]),
        f"{100 * measured['top1']:.2f} ({low:.2f} to {high:.2f})" + (f", {seen} of the faces seen" if seen else ""),
        f"{100 * recall['fear']:.1f} / {100 * recall['disgust']:.1f}",
        f"{run['ms_per_image']:.2f}, {trained_on(run)}",
        f"[record]({folder.name}/record.json)",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or sorted(
        path.parent for path in Path("models").glob("*/record.json")
    )
    print(
        "| network | parameters | multiply-adds | input | top-1 / % (95 % interval) | recall of fear / disgust / % "
        "| last training, ms per image | |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for folder in folders:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        if record["schema"] == TRAINING_RECORD_SCHEMA and TEST in record["measured"]:
            print(row(folder, record))


if __name__ == "__main__":
    main()
