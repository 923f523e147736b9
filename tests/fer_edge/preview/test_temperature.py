from __future__ import annotations

import pytest

from fer_edge.preview.temperature import read_temperature_c


def zones(folder, contents):
    for number, (kind, temp) in enumerate(contents):
        zone = folder / f"thermal_zone{number}"
        zone.mkdir()
        if kind is not None:
            (zone / "type").write_text(f"{kind}\n")
        if temp is not None:
            (zone / "temp").write_text(f"{temp}\n")


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        pytest.param([("cpu-thermal", "47238")], 47.238, id="a Raspberry Pi"),
        pytest.param(
            [("CPU-therm", "41000"), ("GPU-therm", "43500"), ("PMIC-Die", "100000")], 43.5, id="a Jetson Nano"
        ),
        pytest.param([("cv0-thermal", "-256000"), ("cpu-thermal", "50125")], 50.125, id="a part without power"),
        pytest.param([("cpu", "none"), ("soc", "40000")], 40.0, id="no number"),
        pytest.param([("cpu", None), ("soc", "40000")], 40.0, id="no file"),
        pytest.param([(None, "60000"), ("soc", "40000")], 40.0, id="no type"),
        pytest.param([("cpu", "151000")], None, id="too hot to be true"),
        pytest.param([], None, id="no zone"),
    ],
)
def test_the_hottest_zone(tmp_path, contents, expected):
    zones(tmp_path, contents)
    assert read_temperature_c(tmp_path) == expected


def test_no_such_folder(tmp_path):
    assert read_temperature_c(tmp_path / "absent") is None
