"""The tables' exact text."""

import dataclasses

import pytest
from bench.bench_samples import case, one_round, record, steady

from fer_edge_bench.record import PhotoIdentity
from fer_edge_bench.table import format_columns, format_record

PLAIN = """\
machine: Some Board, 4 cores, 4000.0 MB, aarch64, Linux 6.6, Python 3.11.2
bundle: default 1, manifest abababababababab
photo: astronaut.png 512 x 512; smallest face 40 px
samples: 2 fresh processes x 2 runs; threads: 1

A frame, pixels to faces (ms; detect and classify are medians)
engine  precision  faces  decode  detect  classify   min   p50   p90   p99  frames/s  CPU %  unstable
litert  int8           1    5.00    9.50     0.900  10.0  10.5  11.7  12.0      93.0     50
onnx    float32        1    5.00    1.50     0.900  2.00  2.50  3.70  3.97     363.6     50  unstable

A face, the classifier alone (ms)
engine  precision    min    p50    p90    p99  faces/s  unstable
litert  int8       0.500  0.500  0.500  0.500   2000.0
onnx    float32    0.500  0.500  0.500  0.500   2000.0

Start, memory and files (MB = 10^6 bytes)
engine  precision  cold start ms  peak MB  % of memory  % of 16 GB  detector kB  classifier kB  library
litert  int8                 450     80.0         2.00        0.50       2030.0           98.0  litert 1.0
onnx    float32              400     80.0         2.00        0.50       2030.0           98.0  onnx 1.0
"""


def two_cases() -> tuple:
    return (
        case(one_round((10.0, 12.0)), one_round((10.0, 11.0), cold_start_ms=500.0)),
        case(one_round((2.0, 4.0)), one_round((2.0, 3.0)), engine="onnx", precision="float32"),
    )


def test_plain() -> None:
    assert format_record(record(*two_cases())) == PLAIN


def test_markdown() -> None:
    lines = format_record(record(*two_cases()), markdown=True).splitlines()
    assert lines[0] == "- machine: Some Board, 4 cores, 4000.0 MB, aarch64, Linux 6.6, Python 3.11.2"
    start = lines.index("### A face, the classifier alone (ms)")
    assert lines[start + 1 : start + 5] == [
        "",
        "| engine | precision |   min |   p50 |   p90 |   p99 | faces/s | unstable |",
        "| ------ | --------- | ----: | ----: | ----: | ----: | ------: | -------- |",
        "| litert | int8      | 0.500 | 0.500 | 0.500 | 0.500 |  2000.0 |          |",
    ]


def test_several_photos_have_a_column() -> None:
    measured = one_round((1.0,))
    measured = dataclasses.replace(measured, photos=measured.photos * 2)
    one = record(case(one_round((1.0,))))
    photos = (*one.photos, PhotoIdentity(name="two.jpg", bytes=1, sha256="0" * 64))
    text = format_record(dataclasses.replace(one, photos=photos, cases=(case(measured),)))
    assert "photo: astronaut.png 512 x 512, two.jpg 512 x 512; smallest face 40 px" in text
    assert "engine  precision  photo          faces" in text
    assert "litert  int8       two.jpg            1" in text


def test_a_warm_up_that_did_not_settle_is_said() -> None:
    unsettled = one_round((1.0,), face=steady(settled=False, face=(1.0,)))
    assert "warm-up did not settle" not in format_record(record(case(one_round((1.0,)))))
    assert format_record(record(case(unsettled))).splitlines()[-1].startswith("warm-up did not settle: litert int8;")


@pytest.mark.parametrize(
    ("cell", "markdown", "shown"),
    [("a\x1b[31mb\n", False, "a?[31mb?"), ("a|b", True, "a\\|b"), ("a|b", False, "a|b")],
    ids=["terminal", "markdown", "plain"],
)
def test_names_steer_nothing(cell: str, markdown: bool, shown: str) -> None:
    assert shown in format_columns(["name"], [[cell]], markdown=markdown)
