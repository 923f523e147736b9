"""The README's table: one row for each record, nothing in doubt without its reason."""

from pathlib import Path

import pytest
from bench.bench_samples import case, circumstances, machine, one_round, record, steady

from fer_edge_bench.device_table import device_table
from fer_edge_bench.record import BenchRecord, CaseFailure, Settings, read_record

STABLE = one_round((10.0, 10.0, 10.0, 10.0))
SLOWER = one_round((20.0, 20.0, 20.0, 20.0))
SHAKY = one_round((2.0, 2.0, 2.0, 4.0))

EXPECTED = """\
| board      | fastest case           | a frame, p50 ms | 95 % interval | frames/s | a face, p50 ms | peak MB \
| cold start, s | record                            | remarks |
| ---------- | ---------------------- | --------------: | ------------- | -------: | -------------: | ------: \
| ------------: | --------------------------------- | ------- |
| Some Board | litert int8            |            10.0 | 10.0 to 10.0  |    100.0 |          0.500 |    80.0 \
|          0.40 | [one two](results/one%20two.json) |         |
| A\\|B       | litert int8, 4 threads |            20.0 | 20.0 to 20.0  |     50.0 |          0.500 |    80.0 \
|          0.40 | [ab](ab.json)                     |         |
"""


def cells(made: BenchRecord, path: str = "results/board.json") -> list[str]:
    lines = device_table([(path, made)]).splitlines()
    assert len(lines) == 3
    return [cell.strip() for cell in lines[2].removeprefix("| ").removesuffix("|").split(" | ")]


def test_exact_text() -> None:
    slower = record(case(SLOWER, threads=4), machine=machine(model="A|B"))
    assert device_table([("results/one two.json", record(case(STABLE))), ("ab.json", slower)]) == EXPECTED


@pytest.mark.parametrize(
    ("made", "case_name", "remarks"),
    [
        (record(case(SLOWER), case(STABLE, engine="onnx")), "onnx int8", ""),
        (record(case(STABLE), case(SHAKY, engine="onnx")), "litert int8", ""),
        (
            record(case(SHAKY)),
            "litert int8",
            "not to be trusted: the slowest tenth of the runs of a frame took 70 % longer than the median "
            "(at most 20 % is stable)",
        ),
        (
            record(case(SLOWER), case(STABLE, engine="onnx"), circumstances=circumstances(throttled="cap")),
            "onnx int8",
            "not to be trusted: the board held its processor back (cap)",
        ),
        (
            record(
                case(STABLE),
                partial=True,
                settings=Settings(runs=4, rounds=3),
                failures=(CaseFailure(case="onnx int8", step="sustained", error="x"),) * 2,
            ),
            "litert int8",
            "interrupted: 1 of 3 rounds were measured; failed: onnx int8, sustained",
        ),
        (
            record(case(one_round((1.0,) * 4, face=steady(settled=False, face=(1.0,) * 4, engine=(1.0,) * 4)))),
            "litert int8",
            "not to be trusted: warm-up did not settle: the machine may be busy or its clock changing",
        ),
    ],
    ids=["the fastest", "the fastest without doubts", "unstable", "held back", "partial", "not settled"],
)
def test_which_case_and_what_is_said(made: BenchRecord, case_name: str, remarks: str) -> None:
    row = cells(made)
    assert row[1] == case_name
    assert row[-1] == remarks


def test_a_link_is_no_way_out_of_the_cell() -> None:
    assert cells(record(), "javascript:a)|b].json")[8] == "[javascript:a)\\|b\\]](javascript%3Aa%29%7Cb%5D.json)"


def test_the_readme_shows_the_published_records() -> None:
    repository = Path(__file__).resolve().parents[2]
    folder = repository / "benchmarks" / "results"
    paths = sorted(path for path in folder.glob("*.json.gz") if not path.name.startswith("peers-"))
    assert paths
    assert all(path.stat().st_size < 300_000 for path in paths)
    table = device_table([(path.relative_to(repository).as_posix(), read_record(path)) for path in paths])
    assert table in (repository / "README.md").read_text(encoding="utf-8")
