"""The predictor under Ray Data, on a cluster that is started on this machine for the test."""

from __future__ import annotations

import importlib.util
import json
import shutil

import cv2
import pytest
from runtime_support import run_python

from fer_edge.assets import demo_photo_path
from fer_edge.bulk import BulkPredictor
from fer_edge.bulk.inputs import Item
from fer_edge.images import read_image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install 'fer-edge[ray]'"
    ),
]

# A process of its own: Ray changes signal handlers and leaves threads. Four logical cores: two actors and what reads.
CODE = """
import json, sys
import ray
from fer_edge.bulk import BulkPredictor

csv, photos, bundle, out = sys.argv[1:]
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

def analysed(dataset, **options):
    return dataset.map_batches(
        BulkPredictor,
        fn_constructor_kwargs={"bundle": bundle, "engine": "onnx", **options},
        batch_size=8,
        compute=ray.data.ActorPoolStrategy(size=2),
    )

faces = analysed(ray.data.read_csv(csv), faces=True)
rows = [{**row, "probs": row["probs"].tolist()} for row in faces.iter_rows()]
photos = analysed(ray.data.read_images(photos, include_paths=True, mode="RGB"))
photos.write_parquet(out)
found = ray.data.read_parquet(out).take_all()
print("\\n" + json.dumps([rows, found]))
"""


def test_faces_and_photos_on_a_local_cluster(tmp_path, default_bundle):
    image = read_image(demo_photo_path())
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    crops = [cv2.resize(gray[40 + number : 190, 160 + number : 290], (48, 48)) for number in range(40)]
    texts = [" ".join(map(str, crop.ravel().tolist())) for crop in crops]
    texts[5] = "1 2 3"
    listing = tmp_path / "faces.csv"
    listing.write_text(
        "number,pixels\n" + "".join(f"{number},{text}\n" for number, text in enumerate(texts)), encoding="utf-8"
    )
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(demo_photo_path(), photos / "face.png")
    # Photos without a face fill batches of their own: lists of nothing must not give the column another type.
    for number in range(20):
        cv2.imwrite(str(photos / f"none{number}.png"), image[300:500, :200])
    done = run_python(
        CODE,
        str(listing),
        str(photos),
        str(default_bundle.path),
        str(tmp_path / "out"),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_DATA_DISABLE_PROGRESS_BARS="1",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows, found = json.loads(done.stdout.splitlines()[-1])

    predictor = BulkPredictor(faces=True, bundle=default_bundle.path, engine="onnx")
    expected = predictor.analyse([Item(source="csv", pixel_text=text.encode()) for text in texts])
    rows.sort(key=lambda row: row["number"])
    assert [row["number"] for row in rows] == list(range(40))
    for row, answer in zip(rows, expected, strict=True):
        assert (row["emotion"], row["error"]) == (answer["emotion"], answer["error"])
        if answer["error"] is None:
            assert row["probs"] == pytest.approx(list(answer["probs"].values()), abs=2e-6)

    path = str(photos / "face.png")
    (answer,) = BulkPredictor(bundle=default_bundle.path, engine="onnx").analyse([Item(source=path, path=path)])
    with_faces = {row["path"]: row for row in found if row["faces"]}
    assert len(found) == 21
    assert list(with_faces) == [path]
    (face,), (wanted,) = with_faces[path]["faces"], answer["faces"]
    assert face["emotion"] == wanted["emotion"]
    assert face["box_xyxy"] == pytest.approx(wanted["box_xyxy"], abs=0.02)
    assert face["probs"] == pytest.approx(wanted["probs"], abs=1e-5)
