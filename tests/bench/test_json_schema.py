"""The published schema is the code's, and says of records what the code says."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bench.bench_samples import bulk_run, case, one_round, point, record, stream_trial, sustained_run

from fer_edge.typed_json import to_json_text
from fer_edge_bench.json_schema import json_schema
from fer_edge_bench.record import SCHEMA, BenchRecord

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "bench-record.schema.json"


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


def content() -> dict[str, Any]:
    rounds = [one_round((10.0, 12.0), bulk=bulk_run(10, 1.0)), one_round((10.0, 11.0), bulk=bulk_run(10, 1.0))]
    measured = case(*rounds, stream_trials=(stream_trial(1, 4.0, 6.0),), sustained=sustained_run(5.0, 6.0))
    found: dict[str, Any] = json.loads(to_json_text(record(measured, timeline=(point(0.5),))))
    return found


def test_published(schema: Any) -> None:
    assert schema == json_schema(BenchRecord, SCHEMA), "run: python -m fer_edge_bench.json_schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_record_is_valid(schema: Any) -> None:
    jsonschema.validate(content(), schema)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        pytest.param(("schema",), "fer-edge/bench-record/1", id="schema"),
        pytest.param(("unknown",), 1, id="unknown key"),
        pytest.param(("machine", "cores"), "four", id="type"),
        pytest.param(("machine", "cores"), 1.5, id="no whole number"),
        pytest.param(("load", 0, "size_wh"), [640], id="too short"),
        pytest.param(("cases", 0, "rounds", 0, "bulk"), 5, id="neither null nor an object"),
        pytest.param(("cases", 0, "rounds", 0, "frame", "samples_ms", "frame"), ["10"], id="a sample"),
        pytest.param(("cases", 0, "stages", "pnet"), {}, id="keys missing"),
    ],
)
def test_what_is_not(schema: Any, keys: tuple[str | int, ...], value: Any) -> None:
    changed = content()
    parent: Any = changed
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, schema)
